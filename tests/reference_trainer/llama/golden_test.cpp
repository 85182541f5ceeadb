#include <filesystem>

#include "checkpoint/hf_model.hpp"
#include "generation/engine.hpp"
#include "models/model_files.hpp"
#include "roles/host_numbers.hpp"
#include "roles/policy_role.hpp"
#include "support/catch.hpp"
#include "support/small_models.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;
namespace fs = std::filesystem;

namespace {

// The fixtures carry their own file names; a checkpoint directory has fixed ones.
double golden_difference(const fs::path& source, const std::string& name, bool sharded) {
  const temporary_directory folder;
  fs::copy_file(source / (name + "_config.json"), folder / "config.json");
  if (sharded) {
    fs::copy_file(source / (name + ".safetensors.index.json"), folder / "model.safetensors.index.json");
    for (const char* part : {"-00001-of-00002.safetensors", "-00002-of-00002.safetensors"})
      fs::copy_file(source / (name + part), folder / (name + part));
  } else {
    fs::copy_file(source / (name + ".safetensors"), folder / "model.safetensors");
  }
  const auto checkpoint = load_hf_checkpoint(folder.path());
  adapter_bank bank(llama_weights::from_tensors(checkpoint.config, checkpoint.tensors));
  bank.add_base("model");
  const auto golden = read_fixture(source / (name + "_logits.json"));
  double worst = 0;
  for (std::size_t s = 0; s < golden["sequences"].size(); ++s) {
    const auto logits = logits_of(bank, "model", golden["sequences"][s].get<std::vector<token>>());
    const auto expected = golden["logits"][s].get<std::vector<std::vector<double>>>();
    REQUIRE(static_cast<std::size_t>(logits.size(0)) == expected.size());
    for (std::size_t t = 0; t < expected.size(); ++t) {
      const auto row = to_doubles(logits[static_cast<std::int64_t>(t)]);
      for (std::size_t v = 0; v < row.size(); ++v) worst = std::max(worst, std::abs(row[v] - expected[t][v]));
    }
  }
  return worst;
}

}  // namespace

TEST_CASE("golden: random LLaMA and Mistral checkpoints give the logits of another program") {
  const auto data = shared_data();
  if (!data) {
    WARN("shared data absent: skipped");
    return;
  }
  CHECK(golden_difference(*data / "tiny_llama", "tiny_llama", false) < 1e-5);
  CHECK(golden_difference(*data / "tiny_llama", "tiny_llama", true) < 1e-5);
  CHECK(golden_difference(*data / "tiny_mistral", "tiny_mistral", false) < 1e-5);
}

TEST_CASE("golden: a trained model's tokens, logits and log-probabilities") {
  const auto data = shared_data();
  if (!data) {
    WARN("shared data absent: skipped");
    return;
  }
  auto model = load_model(*data / "stories260K");
  model.bank->add_base("model");
  const auto golden = read_fixture(*data / "stories260K" / "golden.json");
  const auto tokens = golden["tokens"].get<std::vector<token>>();
  const auto logits = logits_of(*model.bank, "model", tokens);
  for (const int position : {0, 1, 10, 100}) {
    const auto expected = golden["logits_pos_" + std::to_string(position)].get<std::vector<double>>();
    const auto row = to_doubles(logits[position]);
    double worst = 0;
    for (std::size_t v = 0; v < expected.size(); ++v) worst = std::max(worst, std::abs(row[v] - expected[v]));
    INFO("position " << position);
    CHECK(worst < 1e-4);
  }

  policy_role policy(*model.bank, "model", {.end_tokens = model.end_tokens()});
  rng streams[] = {rng{1}};
  const std::vector<token> rest(tokens.begin() + 1, tokens.end());
  const auto out =
      policy.generate({{model.tokenizer->bos()}}, {.max_new_tokens = rest.size(), .temperature = 0}, streams);
  CHECK(out.responses.values == rest);

  token_batch batch;
  batch.prompts.push_back({tokens.front()});
  batch.responses.push_back(rest);
  double sum = 0;
  for (const double log_prob : policy.log_probs(batch)) sum += log_prob;
  CHECK(sum == Approx(golden["sum_logprob_of_greedy_tokens"].get<double>()).margin(1e-3));
}
