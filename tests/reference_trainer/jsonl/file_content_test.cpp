// What the program says to files whose content no reader can use, and to texts that are not UTF-8: on the program
// itself.
#include <algorithm>
#include <cstdlib>
#include <fstream>

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include "files/json_file.hpp"
#include "run/exit_codes.hpp"
#include "support/catch.hpp"
#include "support/run_program.hpp"
#include "support/shared_data.hpp"
#include "text/utf8.hpp"

#ifdef COHO_EXECUTABLE

using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;
namespace fs = std::filesystem;

namespace {

using arguments_of = std::vector<std::string>;

// A copy of the demo's model, with one file of it replaced.
fs::path model_with(const temporary_directory& folder, const std::string& name, const std::string& file,
                    const std::string& content) {
  const auto base = source_dir() / "reference_trainer" / "demo" / "base";
  fs::create_directory(folder / name);
  for (const char* each : {"config.json", "tokenizer.model", "model.safetensors"})
    if (each != file) fs::create_symlink(base / each, folder / name / each);
  if (!file.empty()) write_bytes(folder / name / file, content);
  return folder / name;
}

program_result said_by(const temporary_directory& folder, arguments_of arguments) {
  arguments.insert(arguments.begin() + 1, {"--threads", "1"});
  auto out = run_program(COHO_EXECUTABLE, arguments, folder.path());
  INFO(arguments.front() << ": " << out.err);
  CHECK(is_utf8(out.err));
  CHECK_THAT(out.err, !ContainsSubstring("internal error"));
  return out;
}

// The demo's model with a number in config.json changed.
fs::path model_of_positions(const temporary_directory& folder, int positions) {
  auto config = read_json(source_dir() / "reference_trainer" / "demo" / "base" / "config.json");
  config["max_position_embeddings"] = positions;
  return model_with(folder, "short", "config.json", config.dump());
}

}  // namespace

TEST_CASE("file content: a number that no double holds is an error with its place in every file of JSON") {
  const temporary_directory folder;
  const std::string model = model_with(folder, "model", "", "").string();
  write_bytes(folder / "data.jsonl",
              "{\"prompt\":\"the fox\",\"completion\":\"a tail\"}\n"
              "{\"prompt\":\"the fox\",\"completion\":\"a tail\",\"score\":1e999}\n");
  write_bytes(folder / "one.jsonl", "{\"prompt\":\"the fox\"}\n");
  write_bytes(folder / "bad.json", "[{\"dimension\":\"a\",\"definition\":\"b\",\"weight\":1e999}]");
  write_bytes(folder / "format.json", "{\"user\":{\"prefix\":1e999}}");
  fs::create_directory(folder / "adapter");
  write_bytes(folder / "adapter/adapter_config.json", "{\"r\":1e999}");
  fs::create_directory(folder / "run");
  write_bytes(folder / "run/metrics.jsonl",
              "{\"step\":0,\"loss\":1}\n{\"step\":1,\"loss\":1e999}\n{\"step\":2,\"loss\":1}\n");
  const std::string config = model_with(folder, "c", "config.json", "{\"hidden_size\":1e999}").string();
  const std::string index = model_with(folder, "i", "model.safetensors", "").string();
  fs::remove(fs::path(index) / "model.safetensors");
  write_bytes(fs::path(index) / "model.safetensors.index.json",
              "{\"metadata\":{\"total_size\":1e999},\"weight_map\":{}}");
  const struct {
    arguments_of arguments;
    std::string place;
  } cases[] = {
      {{"sft", "--model", model, "--data", "data.jsonl", "--out", "o"}, "data.jsonl: line 2: the number 1e999"},
      {{"generate", "--model", model, "--prompts", "data.jsonl", "--out", "o.jsonl"}, "data.jsonl: line 2: the number"},
      {{"sample", "--model", model, "--prompts", "data.jsonl", "--out", "o.jsonl"}, "data.jsonl: line 2: the number"},
      {{"prompts", "--model", model, "--set", "prompts.source.a.path=data.jsonl", "--out", "o.jsonl"},
       "data.jsonl: line 2: the number"},
      {{"principles", "check", "bad.json"}, "bad.json: byte 45: the number 1e999"},
      {{"generate", "--model", model, "--prompt", "a", "--format", "format.json"}, "format.json: byte 19: the number"},
      {{"generate", "--model", model, "--prompt", "a", "--adapter", "adapter"},
       "adapter_config.json: byte 6: the number"},
      {{"generate", "--model", config, "--prompt", "a"}, "config.json: byte 16: the number"},
      {{"generate", "--model", index, "--prompt", "a"}, "index.json: byte 27: the number"},
      {{"report", "run", "--out", "r.html"}, "metrics.jsonl: line 2: the number 1e999"},
  };
  for (const auto& [arguments, place] : cases) {
    const auto got = said_by(folder, arguments);
    INFO(got.err);
    CHECK(got.status == static_cast<int>(exit_code::file_bad));
    CHECK_THAT(got.err, ContainsSubstring(place));
  }
  const auto passed = said_by(folder, {"generate", "--model", model, "--prompts", "data.jsonl", "--skip-bad",
                                       "--max-tokens", "2", "--out", "o.jsonl"});
  CHECK(passed.status == 0);
  CHECK_THAT(passed.err, ContainsSubstring("skipped: data.jsonl: line 2: the number 1e999"));
  CHECK_THAT(passed.err, ContainsSubstring("1 records that cannot be used were passed over"));
}

TEST_CASE("file content: a file of another kind is named, and what mends it") {
  const temporary_directory folder;
  const std::string pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 13476839424\n";
  const auto refused = [&](const arguments_of& arguments, const std::string& says, const std::string& mend) {
    const auto got = said_by(folder, arguments);
    INFO(got.err);
    CHECK(got.status == static_cast<int>(exit_code::file_bad));
    CHECK_THAT(got.err, ContainsSubstring(says) && ContainsSubstring(mend));
  };
  for (const std::string file : {"model.safetensors", "tokenizer.model", "config.json"}) {
    const auto model = model_with(folder, "lfs-" + file, file, pointer).string();
    refused({"generate", "--model", model, "--prompt", "a"}, file + ": is a Git LFS pointer to 13476839424 bytes",
            "git lfs pull");
  }
  refused({"generate", "--model", model_with(folder, "zip", "model.safetensors", "PK\x03\x04 and so on").string(),
           "--prompt", "a"},
          "model.safetensors: is a zip archive", "safe_serialization=True");
  refused({"generate", "--model", model_with(folder, "page", "config.json", "<!doctype html><html>").string(),
           "--prompt", "a"},
          "config.json: is a web page", "download it again");
  refused({"generate", "--model", model_with(folder, "fast", "tokenizer.model", "{\"version\": \"1.0\"}").string(),
           "--prompt", "a"},
          "tokenizer.model: is a JSON tokenizer", "use a sentencepiece tokenizer.model");
  const std::string model = model_with(folder, "model", "", "").string();
  const struct {
    std::string bytes, says, mend;
  } data[] = {{"ARROW1" + std::string(60, '\0') + "ARROW1", "is an Arrow file", "export it as JSON Lines"},
              {std::string("\x28\xB5\x2F\xFD\0\0", 6), "the zstd stream is cut off", "fetch it again"},
              {std::string("\xFF\xFE{\0\"\0", 6), "is text in UTF-16", "save it as UTF-8"},
              {pointer, "is a Git LFS pointer", "git lfs pull"},
              {"{\"instruction\":\"a\",\"output\":\"b\",\"score\":NaN}\n", "line 1: NaN is Python's", "write null"},
              {"instruction,output\na,b\n", "comma-separated", "read_csv"}};
  for (const auto& [bytes, says, mend] : data) {
    write_bytes(folder / "b.jsonl", bytes);
    refused({"sft", "--model", model, "--data", "b.jsonl", "--out", "o"}, says, mend);
  }
  write_bytes(folder / "recipe.toml", std::string("\xFF\xFE[\0m\0o\0", 8));
  const auto recipe = said_by(folder, {"sft", "-c", "recipe.toml"});
  CHECK(recipe.status == static_cast<int>(exit_code::config));
  CHECK_THAT(recipe.err, ContainsSubstring("recipe.toml: is text in UTF-16; save it as UTF-8"));
}

TEST_CASE("file content: each stage says once that sequences are longer than the model was made for") {
  const temporary_directory folder;
  const std::string model = model_of_positions(folder, 32).string();
  std::string text;
  for (int i = 0; i < 20; ++i) text += "the fox is red and ";
  write_bytes(folder / "sft.jsonl", R"({"prompt":"the fox","completion":")" + text + "\"}\n");
  write_bytes(folder / "pairs.jsonl", R"({"prompt":"the fox","chosen":")" + text + "\",\"rejected\":\"no\"}\n");
  write_bytes(folder / "prompts.jsonl", R"({"prompt":")" + text + "\"}\n");
  write_bytes(folder / "samples.jsonl", R"({"instruction":"the fox","responses":[")" + text + "\",\"no\"]}\n");
  const auto says_once = [&](const arguments_of& arguments) {
    const auto got = said_by(folder, arguments);
    INFO(arguments.front() << "\n" << got.err);
    CHECK(got.status == 0);
    const auto first = got.err.find("; the model was made for 32");
    REQUIRE(first != std::string::npos);
    CHECK(got.err.find("; the model was made for 32", first + 1) == std::string::npos);
  };
  says_once({"sft", "--model", model, "--data", "sft.jsonl", "--out", "a", "--set", "adapter.rank=2"});
  says_once({"reward", "--model", model, "--data", "pairs.jsonl", "--out", "reward", "--set", "adapter.rank=2"});
  says_once({"eval", "preferences", "--model", model, "--reward-model", "reward", "--data", "pairs.jsonl"});
  says_once({"sample", "--model", model, "--prompts", "prompts.jsonl", "--max-tokens", "4", "--out", "s.jsonl"});
  says_once({"judge", "--model", model, "--samples", "samples.jsonl", "--out", "j.jsonl"});
  says_once({"generate", "--model", model, "--prompts", "prompts.jsonl", "--max-tokens", "4", "--out", "g.jsonl"});
  says_once({"ppo",
             "--model",
             model,
             "--reward-model",
             "reward",
             "--prompts",
             "prompts.jsonl",
             "--steps",
             "1",
             "--out",
             "ppo",
             "--set",
             "ppo.rollouts=2",
             "--set",
             "ppo.minibatch_size=2",
             "--set",
             "generation.max_new_tokens=4",
             "--set",
             "adapter.rank=2",
             "--set",
             "ppo.normalization.from=none",
             "--set",
             "ppo.principles_per_prompt=0"});
}

TEST_CASE("file content: what the program writes is UTF-8, whatever a model samples or a file is called") {
  const temporary_directory folder;
  // The demo's tokenizer has no bytes; that of the shared model has.
  const auto data = shared_data();
  if (!data) WARN("shared data absent: no bytes are sampled");
  const std::string model = (data ? *data / "stories260K" : model_with(folder, "model", "", "")).string();
  for (const std::string seed : {"1", "2", "3"}) {
    const auto got = said_by(folder, {"generate", "--model", model, "--prompt", "the fox", "--temperature", "50",
                                      "--max-tokens", "60", "--seed", seed});
    CHECK(got.status == 0);
    CHECK(got.out.size() > 20);
    CHECK(is_utf8(got.out));
  }
  write_bytes(folder / "\xFF.jsonl", "{\"prompt\":\"the caf\xE9\"}\n");
  const auto named = said_by(folder, {"generate", "--model", model, "--prompts", "\xFF.jsonl"});
  CHECK(named.status == static_cast<int>(exit_code::file_bad));
  CHECK_THAT(named.err, ContainsSubstring("\uFFFD.jsonl: line 1: byte 19 of the record is not UTF-8"));
  const auto planned = said_by(folder, {"sft", "--data", "\xFF.jsonl", "--model", model, "--dry-run"});
  CHECK(is_utf8(planned.out));
}

#endif
