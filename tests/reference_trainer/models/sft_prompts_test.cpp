#include "models/sft_prompts.hpp"

#include <coho/error.hpp>

#include "settings/prompt_settings.hpp"
#include "support/catch.hpp"
#include "support/demo_model.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

namespace {

std::vector<prompt_settings> read_forms(const config& recipe) {
  return read_sft_prompts(recipe, recipe.get<std::vector<std::filesystem::path>>("sft.templates", {}));
}

}  // namespace

TEST_CASE("sft prompts: one form, that of the section prompt, unless templates are listed") {
  const auto forms = read_forms(config(settings{"prompt.format=dromedary", "prompt.template=inference"}));
  REQUIRE(forms.size() == 1);
  CHECK(forms[0].template_path.filename() == "inference.txt");
  const auto two =
      read_forms(config(settings{"prompt.format=dromedary", "prompt.max_tokens=300", "sft.max_prompt_tokens=400",
                                 "sft.templates=[\"inference\", \"inference_brief\"]"}));
  REQUIRE(two.size() == 2);
  CHECK(two[0].template_path.filename() == "inference.txt");
  CHECK(two[1].template_path.filename() == "inference_brief.txt");
  CHECK(two[1].max_tokens == 400);
  CHECK_THROWS_AS(read_forms(config(
                      settings{"prompt.format=dromedary", "prompt.system=be kind.", "sft.templates=[\"inference\"]"})),
                  config_error);
  CHECK_THROWS_AS(make_prompters(read_forms(config(settings{"sft.templates=[\"no_such\"]"})), demo_model()),
                  file_error);
}

TEST_CASE("sft prompts: a template that is replaced by the list is refused where it is meant for sft") {
  const std::string both =
      "[prompt]\nformat = 'dromedary'\ntemplate = 'inference'\n[sft]\ntemplates = ['inference_brief']\n";
  // One recipe for sample and ppo too, which read prompt.template.
  CHECK(read_forms(config::parse(both, "r.toml")).size() == 1);
  const std::vector<std::string> given{"prompt.template=inference"},
      none{"prompt.template=inference", "sft.templates=[]"};
  CHECK_THROWS_WITH(
      read_forms(config::parse(both, "r.toml", given)),
      ContainsSubstring("--set prompt.template=inference: prompt.template") && ContainsSubstring("sft.templates = []"));
  CHECK(read_forms(config::parse(both, "r.toml", none))[0].template_path.filename() == "inference.txt");
}

TEST_CASE("sft prompts: examples take the templates in turn, and what is cut is counted over all") {
  const auto& model = demo_model();
  const temporary_directory folder;
  write_bytes(folder / "a.txt", "be kind.");
  write_bytes(folder / "b.txt", "be brief.");
  const config options(
      settings{"prompt.format=dromedary", "sft.max_prompt_tokens=40",
               "sft.templates=[\"" + (folder / "a.txt").string() + "\", \"" + (folder / "b.txt").string() + "\"]"});
  const auto forms = read_forms(options);
  const auto prompts = make_prompters(forms, model);
  const auto text = [&](std::size_t example) {
    std::string out;
    for (const token id : prompts[example % prompts.size()].tokens("why?")) out += model.tokenizer->token_bytes(id);
    return out;
  };
  CHECK(text(0).find("be kind.\n\n### User\nwhy?") != std::string::npos);
  CHECK(text(1).find("be brief.\n\n### User\nwhy?") != std::string::npos);
  CHECK(text(2) == text(0));
  CHECK(sft_cut_note(prompts, forms, 3).empty());
  std::string question;
  for (int i = 0; i < 20; ++i) question += "the fox is red. ";
  for (const auto& one : prompts) CHECK(one.tokens(question).size() <= 40);
  CHECK(sft_cut_note(prompts, forms, 5).find("2 of 5 prompts were longer than sft.max_prompt_tokens = 40") !=
        std::string::npos);
}
