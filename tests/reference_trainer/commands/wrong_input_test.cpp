// What the program itself says to wrong input: one line on stderr, an exit status by kind, and no file left behind.
#include <algorithm>
#include <iterator>
#include <set>

#include <ATen/Context.h>

#include "checkpoint/tensor_io.hpp"
#include "run/exit_codes.hpp"
#include "support/catch.hpp"
#include "support/run_program.hpp"
#include "support/shared_data.hpp"
#include "support/stage_runs.hpp"

#ifdef COHO_EXECUTABLE

using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;
namespace fs = std::filesystem;

namespace {

using words = std::vector<std::string>;

/// A folder with a model, prompts, and the same with one thing wrong each.
class broken_files {
 public:
  broken_files() {
    const auto base = source_dir() / "reference_trainer" / "demo" / "base";
    for (const std::string name :
         {"model", "no_config", "bad_config", "no_tokenizer", "no_weights", "truncated", "pickled"}) {
      fs::create_directory(folder / name);
      for (const std::string file : {"config.json", "tokenizer.model", "model.safetensors"})
        fs::create_symlink(base / file, folder / name / file);
    }
    fs::remove(folder / "no_config/config.json");
    fs::remove(folder / "no_tokenizer/tokenizer.model");
    fs::remove(folder / "no_weights/model.safetensors");
    replace("bad_config/config.json", "{\"hidden_size\": }");
    replace("truncated/model.safetensors", read_bytes(base / "model.safetensors").substr(0, 500000));
    fs::rename(folder / "pickled/model.safetensors", folder / "pickled/pytorch_model.bin");
    fs::create_directory(folder / "reward");
    for (const std::string file : {"config.json", "model.safetensors"})
      fs::create_symlink(base / file, folder / "reward" / file);
    write_tensors(folder / "reward/score_head.safetensors",
                  {{"score.weight", at::zeros({1, 64})}, {"score.bias", at::zeros({1})}});
    fs::create_symlink("loop", folder / "loop");  // cannot be looked at, as a folder without permission
    replace("prompts.jsonl", R"({"prompt":"why is the fox red?"})");
    replace("torn.jsonl", R"({"prompt":"why is the)");
    replace("other.jsonl", R"({"name":"value"})");
    replace("empty.jsonl", "");
    replace("pairs.jsonl", R"({"instruction":"q","responses":["a","b"]})");
    replace("preferences.jsonl", R"({"instruction":"q","output_1":"a","output_2":"b","preference":1})");
    replace("no_output.txt", "Reply to {Input}.\n{Dimensions}\nscore:");
    replace("twice.txt", "{Dimension}: {Definition} {UserInstruction} {OutputA} {OutputA} {OutputB}: (");
    replace("misspelt.toml", "[model]\npath = \"model\"\n\n[ppo]\nsteps = 1\nkl_coeficient = 0.1\n");
    replace("syntax.toml", "[ppo\n");
    replace("type.toml", "[ppo]\nsteps = \"many\"\n");
    for (const auto& entry : fs::directory_iterator(folder.path())) before.insert(entry.path().filename());
  }

  /// What is there that was not there before.
  std::set<fs::path> left() const {
    std::set<fs::path> now, out;
    for (const auto& entry : fs::directory_iterator(folder.path())) now.insert(entry.path().filename());
    std::ranges::set_difference(now, before, std::inserter(out, out.end()));
    return out;
  }

  const temporary_directory folder;

 private:
  void replace(const std::string& name, const std::string& content) {
    fs::remove(folder / name);
    write_bytes(folder / name, content);
  }

  std::set<fs::path> before;
};

struct wrong_input {
  words arguments;
  exit_code status;
  std::string says;
};

void check_all(const std::vector<wrong_input>& cases) {
  const broken_files files;
  for (const auto& wrong : cases) {
    auto arguments = wrong.arguments;
    if (arguments.size() > 1) arguments.insert(arguments.begin() + 1, {"--threads", "1", "--out", "result"});
    const auto got = run_program(COHO_EXECUTABLE, arguments, files.folder.path());
    std::string command;
    for (const auto& word : arguments) command += word + " ";
    INFO(command << "\n" << got.err);
    CHECK(got.status == static_cast<int>(wrong.status));
    CHECK_THAT(got.err, ContainsSubstring(wrong.says));
    CHECK(got.err.starts_with("coho"));
    CHECK(std::ranges::count(got.err, '\n') == 1);
    CHECK(got.err.ends_with('\n'));
    CHECK(got.out.empty());
    CHECK(files.left().empty());
  }
}

const words sample{"sample", "--model", "model", "--prompts"};

}  // namespace

TEST_CASE("wrong input: the command line") {
  check_all(
      {{{"smaple"}, exit_code::usage, "unknown subcommand smaple; did you mean sample?"},
       {{"sample", "--promts", "prompts.jsonl"}, exit_code::usage, "unknown flag --promts; did you mean --prompts?"},
       {{"sample", "--model"}, exit_code::usage, "--model"},
       {{"sample", "--model", "model"}, exit_code::config, "sample.prompts is not given"},
       {sample + words{"prompts.jsonl", "--seed", "-1"}, exit_code::config, "expected an integer, 0 or more"},
       {sample + words{"prompts.jsonl", "--max-tokens", "0"}, exit_code::config, "max_new_tokens = 0"}});
}

TEST_CASE("wrong input: recipes") {
  check_all({{{"ppo", "--config", "misspelt.toml", "--prompts", "prompts.jsonl"},
              exit_code::config,
              "misspelt.toml:6: unknown key ppo.kl_coeficient; did you mean ppo.shaping.kl_coefficient?"},
             {{"ppo", "--config", "syntax.toml"}, exit_code::config, "syntax.toml"},
             {{"ppo", "--config", "type.toml", "--prompts", "prompts.jsonl"}, exit_code::config, "type.toml:2"},
             {{"ppo", "--config", "none.toml"}, exit_code::file_missing, "none.toml: no such recipe"},
             {sample + words{"prompts.jsonl", "--set", "sample.respnses=3"}, exit_code::config,
              "did you mean sample.responses?"}});
}

TEST_CASE("wrong input: models") {
  const auto with = [](const std::string& model) {
    return words{"sample", "--prompts", "prompts.jsonl", "--model", model};
  };
  check_all({{with("none"), exit_code::file_missing, "none: no such directory"},
             {with("no_config"), exit_code::file_missing, "no_config/config.json"},
             {with("no_tokenizer"), exit_code::file_missing, "no_tokenizer"},
             {with("no_weights"), exit_code::file_missing, "no_weights"},
             {with("bad_config"), exit_code::file_bad, "bad_config/config.json"},
             {with("truncated"), exit_code::file_bad, "truncated/model.safetensors"},
             {with("pickled"), exit_code::file_bad, "pytorch_model.bin"},
             {with("prompts.jsonl"), exit_code::file_bad, "prompts.jsonl"},
             {with("loop"), exit_code::file_bad, "loop: cannot be read: "},
             {with("model") + words{"--adapter", "no_weights"}, exit_code::file_missing, "no_weights"}});
}

TEST_CASE("wrong input: data") {
  check_all({{sample + words{"none.jsonl"}, exit_code::file_missing, "none.jsonl"},
             {sample + words{"loop"}, exit_code::file_bad, "loop: cannot be read: "},
             {sample + words{"empty.jsonl"}, exit_code::file_bad, "empty.jsonl: has no records"},
             {sample + words{"torn.jsonl"}, exit_code::file_bad, "torn.jsonl: line 1"},
             {sample + words{"other.jsonl"}, exit_code::file_bad, "other.jsonl: line 1"},
             {{"ppo", "--model", "model", "--prompts", "empty.jsonl", "--set", "ppo.length_bonus.coefficient=1"},
              exit_code::file_bad,
              "empty.jsonl: has no records"},
             {{"ppo", "--model", "model", "--prompts", "none.jsonl", "--set", "ppo.length_bonus.coefficient=1"},
              exit_code::file_missing,
              "none.jsonl"},
             {{"prompts", "--model", "model", "--set", "prompts.source.a.path=other.jsonl"},
              exit_code::file_bad,
              "other.jsonl: line 1: not a prompt record"},
             {{"prompts", "--model", "model", "--set", "prompts.source.a.path=none.jsonl"},
              exit_code::file_missing,
              "none.jsonl"},
             {{"prompts", "--model", "model"}, exit_code::config, "prompts.source is not given"},
             {{"sft", "--model", "model", "--data", "prompts.jsonl"}, exit_code::file_bad, "no response to train on"},
             {{"aggregate", "--judgements", "pairs.jsonl"}, exit_code::file_bad, "pairs.jsonl: line 1"},
             {{"generate", "--model", "model", "--prompts", "empty.jsonl"}, exit_code::file_bad, "empty.jsonl"}});
}

TEST_CASE("wrong input: templates") {
  const words reward{"reward", "--model", "model", "--data", "preferences.jsonl", "--set"};
  check_all({{reward + words{"reward_prompt.template=no_output.txt"}, exit_code::file_bad,
              "no_output.txt: placeholder {Output}"},
             {reward + words{"reward_prompt.template=none.txt"}, exit_code::file_missing, "none.txt"},
             {{"judge", "--model", "model", "--samples", "pairs.jsonl", "--template", "twice.txt"},
              exit_code::file_bad,
              "twice.txt"},
             {{"eval", "pairs", "--model", "model", "--reward-model", "reward", "--data", "preferences.jsonl",
               "--reward-template", "none.txt"},
              exit_code::file_missing,
              "none.txt"}});
}

TEST_CASE("wrong input: a device that the program was not built for") {
  if (at::hasCUDA()) return;
  check_all({{sample + words{"prompts.jsonl", "--device", "cuda"}, exit_code::config, "this build of coho has no CUDA"},
             {sample + words{"prompts.jsonl", "--device", "gpu"}, exit_code::config, "cpu, cuda or cuda:0"}});
}

TEST_CASE("wrong input: results that cannot be written") {
  const broken_files files;
  for (const auto& command :
       {sample + words{"prompts.jsonl"}, words{"reward", "--model", "model", "--data", "preferences.jsonl"}}) {
    const auto got = run_program(COHO_EXECUTABLE, command + words{"--threads", "1", "--out", "prompts.jsonl/x"},
                                 files.folder.path());
    INFO(got.err);
    CHECK(got.status == static_cast<int>(exit_code::output));
    CHECK_THAT(got.err, ContainsSubstring("prompts.jsonl/x"));
    CHECK(std::ranges::count(got.err, '\n') == 1);
  }
}

#endif
