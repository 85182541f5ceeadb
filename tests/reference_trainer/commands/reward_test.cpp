#include <algorithm>

#include <zlib.h>

#include <coho/error.hpp>

#include "checkpoint/tensor_io.hpp"
#include "commands/commands.hpp"
#include "evaluation/reward_statistics.hpp"
#include "observe/metrics_log.hpp"
#include "records/records.hpp"
#include "support/small_models.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

namespace {

// The shorter reply is the better one under one principle, the longer under the other.
settings rewarding(const temporary_directory& folder, const std::string& out) {
  const std::string shorter = "the fox is red.", longer = "the fox is red. the fox is big. the fox likes wind.";
  std::string lines;
  for (int i = 0; i < 8; ++i) {
    const bool brief = i % 2 == 0, first = i % 4 < 2;
    lines += R"({"instruction":"what is the fox)" + std::string(static_cast<std::size_t>(i), '?') +
             R"(","output_1":")" + (first ? shorter : longer) + R"(","output_2":")" + (first ? longer : shorter) +
             R"(","preference":)" + (brief == first ? "1" : "2") + R"(,"principles":[{"name":"length","negated":)" +
             (brief ? "false" : "true") + R"(,"text":")" + (brief ? "be brief." : "be not brief.") + "\"}]}\n";
  }
  write_bytes(folder / "preferences.jsonl", lines);
  return {"model.path=" + demo_base().string(),
          "reward.data=" + (folder / "preferences.jsonl").string(),
          "out=" + (folder / out).string(),
          "adapter.kind=full",
          "reward.batch_size=4",
          "reward.learning_rate.peak=1e-3",
          "reward_prompt.template=" + (source_dir() / "reference_trainer/demo/prompts/reward.txt").string()};
}

const settings short_reward_run{"reward.epochs=6", "reward.save_every=2", "reward.learning_rate.warmup_steps=2",
                                "reward.optimizer.weight_decay=0.01"};

double mean_of(const curve& points, std::size_t from, std::size_t count) {
  double sum = 0;
  for (std::size_t i = from; i < from + count; ++i) sum += points.at(i).second / static_cast<double>(count);
  return sum;
}

}  // namespace

TEST_CASE("reward: accuracy on real pairs rises from chance") {
  const auto data = shared_data();
  if (!data) {
    WARN("shared data absent: skipped");
    return;
  }
  const temporary_directory folder;
  write_bytes(folder / "plain.txt", "{Output}\n{Input}\nscore:");
  const auto pairs = (*data / "hh_rlhf" / "harmless-base_test.jsonl.gz").string();
  run_stage(run_reward,
            {"model.path=" + (*data / "stories260K").string(), "reward.data=" + pairs, "reward.limit=16",
             "reward.batch_size=16", "reward.epochs=12", "reward.learning_rate.peak=2e-3", "adapter.kind=full",
             "reward_prompt.plain_template=" + (folder / "plain.txt").string(), "reward_prompt.query_tokens=16",
             "reward_prompt.response_tokens=32", "out=" + (folder / "reward").string()});
  const auto accuracy = metric_curve(folder / "reward", "accuracy"), loss = metric_curve(folder / "reward", "loss");
  REQUIRE(accuracy.size() == 12);
  // A head of zeros scores every answer the same.
  CHECK(accuracy.front().second == 0.5);
  CHECK(loss.front().second == Approx(std::log(2.0)).margin(1e-6));
  CHECK(mean_of(accuracy, 8, 4) > 0.85);
  CHECK(mean_of(loss, 8, 4) < 0.5);
}

TEST_CASE("reward: a model learns to judge by the principle that the record names; the evaluation is written") {
  const temporary_directory folder;
  const auto given = rewarding(folder, "reward");
  run_stage(run_reward, given + settings{"reward.epochs=20", "reward.batch_size=8",
                                         "reward.evaluation=" + (folder / "preferences.jsonl").string()});
  const auto evaluation = read_fixture(folder / "reward" / "evaluation.json");
  CHECK(evaluation["pairs"] == 8);
  CHECK(evaluation["accuracy"] == 1.0);
  CHECK(evaluation["step"] == 20);
  REQUIRE(evaluation["by_principle"].size() == 2);
  for (const auto& group : evaluation["by_principle"]) {
    CHECK(group["principle"] == "length");
    CHECK(group["pairs"] == 4);
  }
  CHECK(evaluation["by_principle"][0]["negated"] != evaluation["by_principle"][1]["negated"]);
  const auto statistics = read_reward_statistics(folder / "reward");
  REQUIRE(statistics.has_value());
  CHECK(statistics->over == "held-out pairs");
  CHECK(statistics->scores.scores == 16);
  CHECK(statistics->scores.mean == evaluation["scores"]["mean"].get<double>());
  CHECK(statistics->scores.deviation == evaluation["scores"]["deviation"].get<double>());
  CHECK(statistics->scores.deviation > 0);
  // Pairs say nothing about the head's bias, so that the head is where transformers looks for it.
  const auto weights = read_tensors(folder / "reward" / "model.safetensors");
  CHECK(weights.at("score.weight").abs().max().item<double>() > 0);

  // A reward model goes on from another, its head included.
  run_stage(run_reward, given + settings{"reward.from=" + (folder / "reward").string(),
                                         "out=" + (folder / "next").string(), "reward.batch_size=8"});
  CHECK(metric_curve(folder / "next", "accuracy").front().second == 1.0);
}

TEST_CASE("reward: an interrupted run that is resumed ends with the weights of one that was not") {
  const temporary_directory folder;
  run_stage(run_reward, rewarding(folder, "whole") + short_reward_run);
  const auto parts = rewarding(folder, "parts") + short_reward_run;
  run_interrupted(run_reward, parts, folder / "parts");
  CHECK_FALSE(std::filesystem::exists(folder / "parts" / "model.safetensors"));
  run_stage(run_reward, parts, true);
  CHECK(read_bytes(folder / "parts" / "model.safetensors") == read_bytes(folder / "whole" / "model.safetensors"));
  CHECK((metric_curve(folder / "parts", "loss") == metric_curve(folder / "whole", "loss")));
}

TEST_CASE("reward: evaluation while training leaves the weights alone, resumed or not") {
  const temporary_directory folder;
  const settings evaluated =
      short_reward_run + settings{"reward.evaluation_share=0.4", "reward.evaluate_every=3", "reward.batch_size=2"};
  run_stage(run_reward, rewarding(folder, "silent") + evaluated + settings{"reward.evaluate_every=0"});
  run_stage(run_reward, rewarding(folder, "whole") + evaluated);
  CHECK(read_bytes(folder / "silent" / "model.safetensors") == read_bytes(folder / "whole" / "model.safetensors"));
  const auto steps = metric_curve(folder / "whole", "loss").size();
  const auto curve = metric_curve(folder / "whole", "evaluation_accuracy");
  CHECK(curve.size() == steps / 3 + (steps % 3 == 0 ? 0 : 1));
  CHECK(curve.front().first == 2);
  CHECK(curve.back().first == static_cast<std::int64_t>(steps) - 1);
  CHECK(metric_curve(folder / "silent", "evaluation_accuracy").size() == 1);

  const auto parts = rewarding(folder, "parts") + evaluated;
  run_interrupted(run_reward, parts, folder / "parts");
  CHECK_FALSE(std::filesystem::exists(folder / "parts" / "reward_statistics.json"));
  run_stage(run_reward, parts, true);
  for (const auto* file : {"model.safetensors", "evaluation.json", "reward_statistics.json"})
    CHECK(read_bytes(folder / "parts" / file) == read_bytes(folder / "whole" / file));
  CHECK((metric_curve(folder / "parts", "evaluation_loss") == metric_curve(folder / "whole", "evaluation_loss")));
}

TEST_CASE("reward: pre-training mixes files, packed and not, shows no principles, and has the paper's rate") {
  const temporary_directory folder;
  std::string hh, shp;
  for (int i = 0; i < 6; ++i) {
    const std::string n(static_cast<std::size_t>(i), '?');
    hh += R"({"chosen":"\n\nHuman: what is the fox)" + n + R"(\n\nAssistant: the fox is red.","rejected":)" +
          R"("\n\nHuman: what is the fox)" + n + R"(\n\nAssistant: the fox is big."})" + "\n";
    shp += R"({"history":"why)" + n +
           R"(","human_ref_A":"the cat.","human_ref_B":"the owl.","labels":1,"score_ratio":)" + (i < 3 ? "1.5" : "4") +
           "}\n";
  }
  auto* packed = ::gzopen((folder / "hh.jsonl.gz").c_str(), "wb");
  ::gzwrite(packed, hh.data(), static_cast<unsigned>(hh.size()));
  ::gzclose(packed);
  write_bytes(folder / "shp.jsonl", shp);
  write_bytes(folder / "plain.txt", "{Output}\n{Input}\nscore:");
  const settings given{"pretrain=true",
                       "model.path=" + demo_base().string(),
                       "preference_pretraining.data=['" + (folder / "hh.jsonl.gz").string() + "','" +
                           (folder / "shp.jsonl").string() + "']",
                       "preference_pretraining.batch_size=3",
                       "preference_pretraining.learning_rate.kind=constant",
                       "preference_pretraining.statistics_pairs=4",
                       "reward_prompt.plain_template=" + (folder / "plain.txt").string(),
                       "adapter.kind=full",
                       "out=" + (folder / "out").string()};
  run_stage(run_reward, given);
  const auto rate = metric_curve(folder / "out", "learning_rate");
  CHECK(rate.size() == 3);
  CHECK(rate.front().second == 5e-5);
  const auto statistics = read_reward_statistics(folder / "out");
  REQUIRE(statistics.has_value());
  CHECK(statistics->over == "training pairs");
  CHECK(statistics->scores.scores == 8);
  CHECK_FALSE(std::filesystem::exists(folder / "out" / "evaluation.json"));
  rewarding(folder, "out");
  CHECK_THROWS_WITH(
      run_stage(run_reward, given + settings{"preference_pretraining.data=" + (folder / "preferences.jsonl").string()}),
      Catch::Matchers::ContainsSubstring("has principles"));
}

TEST_CASE("reward: rounding does not move the head's bias, of which pairs say nothing") {
  const temporary_directory folder;
  // Sums over five pairs leave a rest of some 1e-9, from which Adam would make steps.
  const auto given = rewarding(folder, "out") + settings{"reward.epochs=6", "reward.batch_size=5"};
  run_stage(run_reward, given);
  CHECK_FALSE(std::filesystem::exists(folder / "out" / "score_head.safetensors"));
  CHECK(read_tensors(folder / "out" / "model.safetensors").count("score.weight") == 1);
  // With centring the scores' level is learned.
  run_stage(run_reward, given + settings{"reward.loss.centring=0.1"});
  CHECK(std::filesystem::exists(folder / "out" / "score_head.safetensors"));
}

TEST_CASE("reward: the head learns as much faster as its factor says") {
  const temporary_directory folder;
  const auto head_after_one_step = [&](const std::string& factor) {
    run_stage(run_reward, rewarding(folder, factor) +
                              settings{"reward.batch_size=8", "reward.learning_rate.kind=constant",
                                       "reward.gradient_norm_clip=0", "reward.head_learning_rate_factor=" + factor});
    return read_tensors(folder / factor / "model.safetensors").at("score.weight").clone();
  };
  const auto once = head_after_one_step("1"), five_times = head_after_one_step("5");
  CHECK(once.abs().max().item<double>() == Approx(1e-3).epsilon(1e-2));
  CHECK(largest_difference(five_times, 5 * once) < 1e-6);
}

TEST_CASE("reward: what would fail at the end is refused at the start, and no folder is made") {
  const temporary_directory folder;
  const auto given = rewarding(folder, "out");
  CHECK_THROWS_AS(run_stage(run_reward, given + settings{"reward.evaluation=" + (folder / "none.jsonl").string()}),
                  file_error);
  CHECK_THROWS_AS(run_stage(run_reward, given + settings{"reward.batch_size=0"}), config_error);
  CHECK_THROWS_AS(run_stage(run_reward, given + settings{"reward.evaluate_every=2"}), config_error);
  CHECK_THROWS_AS(run_stage(run_reward, given + settings{"reward.statistics_pairs=0"}), config_error);
  CHECK_THROWS_AS(run_stage(run_reward, given + settings{"reward.loss.label_smoothing=2"}), config_error);
  for (const std::string limit : {"tokens=64", "sort_by_length=true"})
    CHECK_THROWS_WITH(run_stage(run_reward, given + settings{"reward.micro_batch." + limit}),
                      Catch::Matchers::ContainsSubstring("limit micro_batch.sequences"));
  CHECK_THROWS_AS(run_stage(run_reward, given + settings{"reward_prompt.template=" + (folder / "none.txt").string()}),
                  file_error);
  CHECK_FALSE(std::filesystem::exists(folder / "out"));
  write_bytes(
      folder / "preferences.jsonl",
      R"({"instruction":"q","output_1":"a","output_2":"b","preference":1,"principles":[{"name":"Brief","negated":false}]})");
  CHECK_THROWS_WITH(run_stage(run_reward, given), Catch::Matchers::ContainsSubstring("without its definition"));
  CHECK_FALSE(std::filesystem::exists(folder / "out"));
}

TEST_CASE("reward: a run anew leaves no measures of the old one; a model it starts from is in another folder") {
  const temporary_directory folder;
  const auto given = rewarding(folder, "out") + settings{"reward.epochs=1"};
  run_stage(run_reward, given + settings{"reward.evaluation_share=0.25"});
  REQUIRE(std::filesystem::exists(folder / "out" / "evaluation.json"));
  REQUIRE(read_reward_statistics(folder / "out")->over == "held-out pairs");
  CHECK_THROWS_WITH(run_stage(run_reward, given + settings{"reward.from=" + (folder / "out").string()}),
                    Catch::Matchers::ContainsSubstring("another folder"));
  REQUIRE(std::filesystem::exists(folder / "out" / "evaluation.json"));
  run_stage(run_reward, given);
  CHECK_FALSE(std::filesystem::exists(folder / "out" / "evaluation.json"));
  CHECK(read_reward_statistics(folder / "out")->over == "training pairs");
}

TEST_CASE("reward: a record's margin is subtracted from the difference of the scores") {
  const temporary_directory folder;
  const auto first_loss = [&](const std::string& out, const std::string& margin, const settings& more = {}) {
    write_bytes(folder / "pairs.jsonl", R"({"prompt":"what?","chosen":"yes.","rejected":"no.")" + margin + "}\n");
    run_stage(run_reward,
              settings{"model.path=" + demo_base().string(), "adapter.rank=2",
                       "reward.data=" + (folder / "pairs.jsonl").string(), "out=" + (folder / out).string()} +
                  more);
    return metric_curve(folder / out, "loss").front().second;
  };
  // A head of zeros: the difference is 0, and the loss −log σ(−margin).
  CHECK(first_loss("three", R"(,"margin":3.0)") == Approx(3.0485873515737).epsilon(1e-6));
  CHECK(first_loss("none", "") == Approx(0.6931471805599).epsilon(1e-6));
  CHECK(first_loss("off", R"(,"margin":3.0)", {"reward.margins=none"}) == Approx(0.6931471805599).epsilon(1e-6));
}

TEST_CASE("reward: a head that is drawn is uniform in ±1/√H, by the seed, and its bias is 0") {
  const temporary_directory folder;
  const auto head = [&](const std::string& out, const settings& more) {
    run_stage(run_reward, rewarding(folder, out) + settings{"reward.learning_rate.peak=0"} + more);
    return read_tensors(folder / out / "model.safetensors").at("score.weight").flatten().to(at::kDouble);
  };
  const auto drawn = head("one", {"reward.head_init=uniform", "seed=3"});
  const double bound = 1 / std::sqrt(static_cast<double>(drawn.numel()));
  CHECK(drawn.abs().max().item<double>() <= bound);
  CHECK(drawn.abs().max().item<double>() > 0.8 * bound);
  CHECK(drawn.std().item<double>() == Approx(bound / std::sqrt(3.0)).epsilon(0.25));
  CHECK(at::equal(drawn, head("two", {"reward.head_init=uniform", "seed=3"})));
  CHECK_FALSE(at::equal(drawn, head("three", {"reward.head_init=uniform", "seed=4"})));
  CHECK(head("four", {}).abs().max().item<double>() == 0);
  // Without a bias the head is where transformers looks for it.
  CHECK_FALSE(std::filesystem::exists(folder / "one" / "score_head.safetensors"));
  CHECK_THROWS_AS(head("five", {"reward.head_init=normal"}), config_error);
}

TEST_CASE("reward: the pairs that a share holds out are written beside the model") {
  const temporary_directory folder;
  const auto given = rewarding(folder, "reward");
  run_stage(run_reward, given + settings{"reward.evaluation_share=0.4"});
  const auto held = read_records<preference_record>(folder / "reward" / "held_out.jsonl");
  CHECK(held.size() == read_fixture(folder / "reward" / "evaluation.json")["pairs"].get<std::size_t>());
  const auto all = read_records<preference_record>(folder / "preferences.jsonl");
  for (const auto& record : held) CHECK(std::ranges::count(all, record) == 1);
  CHECK(held.size() < all.size());
  run_stage(run_reward, rewarding(folder, "none"));
  CHECK_FALSE(std::filesystem::exists(folder / "none" / "held_out.jsonl"));
}
