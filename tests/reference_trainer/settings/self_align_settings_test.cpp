#include "settings/self_align_settings.hpp"

#include "models/self_align_encoder.hpp"
#include "plan/self_align_plan.hpp"
#include "support/catch.hpp"
#include "support/demo_model.hpp"
#include "support/shared_data.hpp"
#include "support/temporary_directory.hpp"
#include "tokenizer/sentencepiece.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

namespace {

self_align_prompt make(const std::string& form) {
  return {prompt_template(template_kind::self_align, form, "s.txt"),
          std::vector<principle>{{"kind", "be kind."}},
          {{"why?", "it is so.", "the fox is red."}}};
}

std::vector<token> with_begin(const text_tokenizer& tokenizer, const std::string& text) {
  std::vector<token> out{tokenizer.bos()};
  for (const token id : tokenizer.encode(text)) out.push_back(id);
  return out;
}

const settings shipped_files{"model.path=nowhere", "self_align.prompts=p.jsonl"};

}  // namespace

TEST_CASE("self-align encoder: prompts begin with the prefix, token by token") {
  const auto& tokenizer = *demo_model().tokenizer;
  const auto prompt = make("{Rules}\n{Exemplars}\nuser:\n{Input}\ncoho:\n{Thoughts}\nso:\n{Answer}");
  const self_align_encoder encode(prompt, tokenizer);
  CHECK(encode.prefix() == with_begin(tokenizer, prompt.prefix()));  // nothing is joined behind a line break
  for (const auto* question : {"why?", " why?", "0", "\n", "你好"}) {
    CAPTURE(question);
    CHECK(encode(question) == with_begin(tokenizer, prompt(question)));
    CHECK(encode.begins_with_prefix(encode(question)));
  }
  CHECK_FALSE(encode.begins_with_prefix(encode.prefix()));
}

TEST_CASE("self-align encoder: the prefix ends before what a tokenizer joins with the question") {
  const auto& tokenizer = *demo_model().tokenizer;
  // A space belongs to the word behind it.
  const auto spaced = make("{Rules}\n{Exemplars}\nuser: {Input}\ncoho:\n{Thoughts}\nso:\n{Answer}");
  const self_align_encoder encode(spaced, tokenizer);
  CHECK(encode.prefix().size() < with_begin(tokenizer, spaced.prefix()).size());
  CHECK(encode.begins_with_prefix(encode("the fox")));
  // Half a word may be joined in a way that no probe shows: such a prompt does not begin with the prefix.
  const auto half = make("{Rules}\n{Exemplars}\nuser: the f{Input}\ncoho:\n{Thoughts}\nso:\n{Answer}");
  const self_align_encoder encode_half(half, tokenizer);
  CHECK(encode_half("ox?") == with_begin(tokenizer, half("ox?")));
  CHECK(encode_half.begins_with_prefix(encode_half("the")));
  CHECK_FALSE(encode_half.begins_with_prefix(encode_half("ox?")));
}

TEST_CASE("self-align settings: the shipped files, the template's stop, the exemplars' opening") {
  const auto read = read_self_align_settings(config(shipped_files), false);
  CHECK(read.rules.size() == 17);
  REQUIRE(read.prompt);
  CHECK(read.prompt->exemplars().size() == 6);
  CHECK(read.generation.stop == std::vector<std::string>{"### User"});
  CHECK(read.filters.thoughts_opening == "I am Dromedary and keep to my rules.");
  CHECK(read.generation.max_new_tokens == 640);
  const auto other = read_self_align_settings(
      config(shipped_files + settings{"generation.max_new_tokens=1024", "generation.slots=6", "self_align.slots=32",
                                      "self_align.stop=['##']", "self_align.rules=honest"}),
      false);
  CHECK(other.generation.max_new_tokens == 1024);
  CHECK(other.engine.slots == 32);
  CHECK(other.generation.stop == std::vector<std::string>{"### User", "##"});
  CHECK(other.rules.size() == 8);
  const settings absent{"self_align.exemplars=absent.json"};
  CHECK_FALSE(read_self_align_settings(config(shipped_files + absent), true).prompt);
  CHECK_THROWS_WITH(read_self_align_settings(config(shipped_files + absent), false), ContainsSubstring("absent.json"));
}

TEST_CASE("self-align settings: prefix, question and answer share the context") {
  const config options(shipped_files + settings{"self_align.max_new_tokens=100"});
  auto read = read_self_align_settings(options, false);
  CHECK(compute_context_budget(options, read, 300, 512).question == 112);
  read.max_question_tokens = 50;
  CHECK(compute_context_budget(options, read, 300, 512).question == 50);
  CHECK_THROWS_WITH(compute_context_budget(options, read, 412, 512),
                    ContainsSubstring("self_align.max_new_tokens") &&
                        ContainsSubstring("below 100, as the rules and exemplars take 412 tokens of the model's 512"));
  CHECK_THROWS_WITH(compute_context_budget(options, read, 512, 512), ContainsSubstring("take 512 tokens"));
  CHECK_FALSE(compute_context_budget(options, read));  // no tokenizer there
}

TEST_CASE("self-align settings: by LLaMA-2's tokenizer the shipped prefix leaves room in its context") {
  const auto data = shared_data();
  if (!data) {
    WARN("shared data absent: skipped");
    return;
  }
  const auto tokenizer = sentencepiece_tokenizer::from_file(*data / "tokenizers" / "llama2.model");
  const config options(shipped_files);
  const auto read = read_self_align_settings(options, false);
  const self_align_encoder encode(*read.prompt, tokenizer);
  CHECK(encode.prefix() == with_begin(tokenizer, read.prompt->prefix()));
  CHECK(encode.begins_with_prefix(encode("  Wie spät ist es?")));
  CHECK(encode.prefix().size() > 2000);
  CHECK(compute_context_budget(options, read, encode.prefix().size(), 4096).question >= 512);
}
