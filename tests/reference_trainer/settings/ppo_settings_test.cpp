#include "settings/ppo_settings.hpp"

#include <algorithm>
#include <map>
#include <set>

#include <coho/error.hpp>

#include "models/prompter.hpp"
#include "rollouts/rl_prompts.hpp"
#include "rollouts/symbolic_rewards.hpp"
#include "run/stage_context.hpp"
#include "support/catch.hpp"
#include "support/chi_square.hpp"
#include "support/demo_model.hpp"
#include "support/ppo_recipes.hpp"
#include "support/recipe_models.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

namespace {

ppo_options read(const settings& given) {
  const config options(given);
  const stage_context context("ppo", options, false, false, true);
  const prompter prompts = make_prompter(options, demo_model());
  return read_ppo_options(options, context, prompts.stop(), 50);
}

std::vector<prompt_record> numbered(std::size_t count) {
  std::vector<prompt_record> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back({.instruction = "the fox " + std::to_string(i)});
  return out;
}

double bonus_of(const settings& given, std::size_t tokens, double multiplier = 1, std::string_view prompt = {},
                std::string_view response = {}) {
  const std::vector<token> answered(tokens, 5);
  return read_bonus(config(given), 100)(
      {.response_tokens = answered, .prompt = prompt, .response = response, .length_multiplier = multiplier});
}

const std::string english = "Why is the sky blue in the morning and red in the evening?";
const std::string german = "Weil das Licht der Sonne am Abend einen weiteren Weg durch die Luft hat.";

}  // namespace

TEST_CASE("ppo_settings: presets are the library's, and every key stands above them") {
  const auto paper = read({}), code = read({"ppo.preset=salmon_code"});
  CHECK(paper.shaping.kl_coefficient == ppo_options::paper().shaping.kl_coefficient);
  CHECK(paper.minibatch_size == 288);
  CHECK(paper.learning_rate.kind == schedule_kind::cosine);
  CHECK(paper.learning_rate.total_steps == 50);
  CHECK_FALSE(paper.adaptive_kl);
  CHECK(code.shaping.kl_coefficient == 0.01);
  CHECK(code.generation.temperature == 0.7);
  CHECK(code.shaping.estimator == ppo_options::salmon_code().shaping.estimator);
  CHECK(code.learning_rate.warmup_steps == 5);
  CHECK(paper.generation.max_new_tokens == 1024);
  CHECK(code.generation.max_new_tokens == 1024);

  CHECK(paper.generation.unfinished_stop.empty());
  CHECK(code.generation.unfinished_stop == std::vector<std::string>{"\nNote", "\nUpdate", "\nComment", "###"});
  CHECK(code.shaping.unfinished_penalty == -6);
  CHECK(read({"ppo.preset=salmon_code", "ppo.unfinished_stops=[]"}).generation.unfinished_stop.empty());
  CHECK(read({"ppo.unfinished_stops=[\"P.S.\"]"}).generation.unfinished_stop == std::vector<std::string>{"P.S."});
  CHECK_THROWS_AS(read({"ppo.unfinished_stops=[\"\"]"}), config_error);

  const auto own =
      read({"ppo.adaptive_kl.initial=0.3", "ppo.shaping.estimator=k3", "ppo.epochs=4", "ppo.policy_clip.clip_low=0.1",
            "ppo.gae.gamma=0.9", "ppo.adaptive_kl.target=6", "ppo.old_log_probs=recorded",
            "ppo.shaping.unfinished=replace", "ppo.empty_responses=scored", "seed=9", "generation.max_new_tokens=12"});
  CHECK(own.shaping.kl_coefficient == 0.3);
  CHECK(own.shaping.estimator == kl_estimator::k3);
  CHECK(own.epochs == 4);
  CHECK(own.policy_clip.clip_low == 0.1);
  CHECK(own.gae.gamma == 0.9);
  REQUIRE(own.adaptive_kl);
  CHECK(own.adaptive_kl->target == 6);
  CHECK(own.adaptive_kl->initial == 0.3);
  CHECK(own.old_log_probs == old_log_prob_source::recorded);
  CHECK(own.shaping.unfinished == unfinished_mode::replace);
  CHECK(paper.empty_responses == empty_response_rule::lowest);
  CHECK(code.empty_responses == empty_response_rule::scored);
  CHECK(own.empty_responses == empty_response_rule::scored);
  CHECK(read({"ppo.preset=salmon_code", "ppo.empty_responses=lowest"}).empty_responses == empty_response_rule::lowest);
  CHECK_THROWS_WITH(read({"ppo.empty_responses=punished"}), Catch::Matchers::ContainsSubstring("ppo.empty_responses"));
  CHECK(own.seed == 9);
  CHECK(own.generation.max_new_tokens == 12);
}

TEST_CASE("ppo_settings: every value of the preset salmon_code") {
  const auto code = read({"ppo.preset=salmon_code"});
  CHECK(code.generation.max_new_tokens == 1024);
  CHECK(code.generation.temperature == 0.7);
  CHECK(code.generation.top_p == 1);
  CHECK(code.generation.top_k == 0);
  CHECK(code.old_log_probs == old_log_prob_source::recomputed);
  CHECK_FALSE(code.sampler_correction);
  CHECK(code.normalization.mean == 0);
  CHECK(code.normalization.deviation == 1);
  CHECK(code.normalization.clip == 0);
  // KL clamped at 0 a token, the reward at the fixed last position, 10 times all of it instead of whitening.
  CHECK(code.shaping.kl_coefficient == 0.01);
  CHECK(code.shaping.estimator == kl_estimator::k1_clamped);
  CHECK(code.shaping.kl_clip == 0);
  CHECK(code.shaping.reward_clip == 0);
  CHECK(code.shaping.unfinished_penalty == -6);
  CHECK(code.shaping.unfinished == unfinished_mode::add);
  CHECK(code.shaping.placement == reward_placement::last_position);
  CHECK(code.shaping.scale == 10);
  CHECK_FALSE(code.shaping.whiten);
  CHECK(code.shaping.whitening.keep_mean);
  CHECK(code.shaping.whitening.scope == whiten_scope::all_positions);
  CHECK(code.padded_layout);
  CHECK_FALSE(code.adaptive_kl);
  CHECK(code.gae.gamma == 1);
  CHECK(code.gae.lambda == 1);
  // Advantages: over padding too.
  CHECK(code.whiten_advantages);
  CHECK(code.advantage_whitening.scope == whiten_scope::all_positions);
  CHECK_FALSE(code.advantage_whitening.keep_mean);
  CHECK(code.advantage_whitening.deviation == deviation::population);
  CHECK(code.advantage_whitening.epsilon == 1e-8);
  CHECK(code.minibatch_size == 288);
  CHECK(code.scope == minibatch_scope::global);
  CHECK(code.epochs == 2);
  CHECK(code.policy_clip.clip_low == 0.2);
  CHECK(code.policy_clip.clip_high == 0.2);
  CHECK(code.value_clip.clip == 0.2);
  CHECK(code.value_coefficient == 0.1);
  CHECK(code.kl_loss_coefficient == 0);
  CHECK(code.entropy_coefficient == 0);
  CHECK(code.reduction.kind == reduction::token_mean);
  CHECK(code.gradient_norm_clip == 1);
  CHECK(code.joint_gradient_norm);
  CHECK(code.learning_rate.peak == 2e-5);
  CHECK(code.learning_rate.kind == schedule_kind::cosine);
  CHECK(code.learning_rate.warmup_steps == 5);
  CHECK(code.learning_rate.floor_fraction == 0);
  CHECK(code.learning_rate.total_steps == 50);
  CHECK(code.value_learning_rate_factor == 1);
  CHECK(code.value_warmup_steps == 0);
  CHECK(code.target_kl == 0);
  CHECK(read({"ppo.preset=salmon_code", "ppo.shaping.whiten=true"}).shaping.whiten);
}

TEST_CASE("ppo_settings: every option of the library's trainer has a key") {
  const auto own = read({"ppo.policy_clip.dual_clip=3", "ppo.kl_loss_coefficient=0.1", "ppo.kl_loss.estimator=k2",
                         "ppo.kl_loss.clip=10", "ppo.reduction.kind=fixed_length", "ppo.reduction.fixed_length=7",
                         "ppo.shaping.reward_clip=5", "ppo.shaping.placement=last_position", "ppo.padded_layout=true",
                         "ppo.sampler_correction.form=masked", "ppo.sampler_correction.low=0.5", "ppo.scope=each_rank",
                         "ppo.normalization.clip=4", "ppo.advantage_whitening.deviation=bessel",
                         "ppo.micro_batch.sequences=3", "ppo.scoring_batch.sort_by_length=false"});
  CHECK(own.policy_clip.dual_clip == 3);
  CHECK(own.kl_loss_coefficient == 0.1);
  CHECK(own.kl_loss.estimator == kl_estimator::k2);
  CHECK(own.kl_loss.clip == 10);
  CHECK(own.reduction.kind == reduction::fixed_length);
  CHECK(own.reduction.fixed_length == 7);
  CHECK(own.shaping.reward_clip == 5);
  CHECK(own.shaping.placement == reward_placement::last_position);
  CHECK(own.padded_layout);
  REQUIRE(own.sampler_correction);
  CHECK(own.sampler_correction->form == importance_form::masked);
  CHECK(own.sampler_correction->low == 0.5);
  CHECK(own.sampler_correction->high == 2);  // the library's default
  CHECK(own.scope == minibatch_scope::each_rank);
  CHECK(own.normalization.clip == 4);
  CHECK(own.advantage_whitening.deviation == deviation::bessel);
  CHECK(own.micro_batch.sequences == 3);
  CHECK(own.micro_batch.tokens == 16384);
  CHECK_FALSE(own.scoring_batch.sort_by_length);
}

TEST_CASE("ppo_settings: an option without effect is refused by its key, what a preset says of it is not") {
  const auto refuse = [](const settings& given, const std::string& key) {
    CHECK_THROWS_WITH(read(given), Catch::Matchers::ContainsSubstring(key));
  };
  refuse({"ppo.whiten_advantages=false", "ppo.advantage_whitening.epsilon=1"}, "ppo.advantage_whitening.epsilon");
  refuse({"ppo.shaping.whitening.epsilon=1"}, "ppo.shaping.whitening.epsilon");
  refuse({"ppo.shaping.whiten=true", "ppo.shaping.scale=2"}, "ppo.shaping.scale");
  refuse({"ppo.adaptive_kl.target=3", "ppo.shaping.kl_coefficient=0.1"}, "ppo.shaping.kl_coefficient");
  refuse({"ppo.kl_loss.clip=1"}, "kl_loss.clip");
  refuse({"ppo.reduction.fixed_length=9"}, "reduction.fixed_length");
  refuse({"ppo.learning_rate.kind=constant", "ppo.learning_rate.floor_fraction=0.1"},
         "ppo.learning_rate.floor_fraction");
  refuse({"ppo.learning_rate.kind=constant", "ppo.learning_rate.total_steps=9"}, "ppo.learning_rate.total_steps");
  CHECK_NOTHROW(read({"ppo.preset=salmon_code", "ppo.whiten_advantages=false"}));
  CHECK_NOTHROW(read({"ppo.preset=salmon_code", "ppo.shaping.whiten=true"}));
  CHECK(read({"ppo.preset=salmon_code", "ppo.adaptive_kl.target=3"}).adaptive_kl->initial == 0.01);
  CHECK(read({"ppo.preset=salmon_code", "ppo.adaptive_kl.initial=0.4"}).adaptive_kl->initial == 0.4);
}

TEST_CASE("ppo_settings: options out of their range are refused") {
  for (const std::string wrong : {"gae.gamma=1.5", "gae.lambda=-1", "epochs=0", "shaping.kl_coefficient=-1",
                                  "policy_clip.clip_high=-0.1", "target_kl=-1"})
    CHECK_THROWS_AS(read({"ppo." + wrong}), config_error);
  CHECK_THROWS_AS(read({"ppo.shaping.estimator=k4"}), config_error);
  CHECK_THROWS_AS(read({"ppo.preset=papr"}), config_error);
}

TEST_CASE("ppo_settings: the bonus for length") {
  CHECK(bonus_of({}, 50) == 0);
  CHECK(bonus_of({"length_bonus.coefficient=5"}, 50) == Approx(2.5));
  CHECK(bonus_of({"length_bonus.coefficient=5"}, 50, -0.4) == Approx(-1));
  CHECK(bonus_of({"length_bonus.coefficient=5", "length_bonus.max_response_tokens=50"}, 50) == Approx(5));
  CHECK(bonus_of({"length_bonus.coefficient=5", "length_bonus.cap=0.2"}, 50) == Approx(1));
  CHECK_THROWS_AS(bonus_of({"length_bonus.coefficient=5", "length_bonus.cap=0"}, 1), config_error);
}

TEST_CASE("ppo_settings: the bonus for language, alone and beside the one for length") {
  CHECK(bonus_of({"language_bonus=2"}, 1, 1, english, english) == 2);
  CHECK(bonus_of({"language_bonus=2"}, 1, 1, english, german) == 0);
  CHECK(bonus_of({"language_bonus=2", "length_bonus.coefficient=5"}, 50, 1, german, german) == Approx(4.5));
  register_language_identifier("first letter", [](std::string_view text) { return std::string(text.substr(0, 1)); });
  const settings own{"language_bonus=2", "language_identifier=first letter"};
  CHECK(bonus_of(own, 1, 1, "ab", "ac") == 2);
  CHECK(bonus_of(own, 1, 1, "ab", "bc") == 0);
  CHECK_THROWS_AS(bonus_of({"language_bonus=2", "language_identifier=none"}, 1), config_error);
}

TEST_CASE("ppo_settings: guidelines are drawn by prompt and step, with the interventions that are on") {
  const temporary_directory folder;
  write_bytes(folder / "principles.json",
              R"([{"dimension":"a","definition":"be a."},{"dimension":"b","definition":"be b."},
{"dimension":"c","definition":"be c."},{"dimension":"d","definition":"be d."}])");
  write_bytes(folder / "interventions.json",
              R"([{"dimension":"x","definition":"no x."},{"dimension":"y","definition":"no y."}])");
  const std::string principles = "principles=" + (folder / "principles.json").string();
  const std::string interventions = "interventions=" + (folder / "interventions.json").string();
  const auto draw = [](const settings& given, std::uint64_t step, std::uint64_t key) {
    return read_guidelines(config(given))(prompt_type::general, rng{4, step}, key);
  };

  CHECK_FALSE(read_guidelines(config(settings{})).any());
  CHECK(draw({}, 0, 0).empty());
  const settings two{principles, "principles_per_prompt=2"};
  CHECK(read_guidelines(config(two)).any());
  CHECK(draw(two, 0, 0).size() == 2);
  CHECK(draw(two, 0, 0) == draw(two, 0, 0));
  std::set<std::vector<std::string>> drawn;
  for (std::uint64_t k = 0; k < 20; ++k) {
    drawn.insert(draw(two, 0, k));
    drawn.insert(draw(two, k, 0));
  }
  CHECK(drawn.size() > 5);

  CHECK(draw({interventions}, 0, 0).size() == 2);
  const auto last =
      draw(two + settings{interventions, "intervention_position=last", "use_interventions=[\"y\"]"}, 0, 0);
  REQUIRE(last.size() == 3);
  CHECK(last.back().find("no y.") != std::string::npos);
  CHECK_THROWS_AS(draw({interventions, "use_interventions=[\"z\"]"}, 0, 0), config_error);
  CHECK_THROWS_AS(draw({principles, "principles_per_prompt=5"}, 0, 0), argument_error);
}

TEST_CASE("ppo_settings: a prompt's type weighs 128 more on the principles that it names, on top of their weights") {
  // One principle a prompt: what is drawn is in proportion to the weights.
  const guideline_source source =
      read_guidelines(config(settings{"principles=reinforcement", "principles_per_prompt=1"}));
  const auto principles = source.principles();
  REQUIRE(principles.size() == 14);
  const std::map<prompt_type, std::set<std::string>> boosted{
      {prompt_type::general, {}},
      {prompt_type::reasoning, {"Consistent Reasoning", "Numerical Sensitive"}},
      {prompt_type::red_teaming, {"Ethical"}}};
  for (const auto& [type, names] : boosted) {
    CAPTURE(static_cast<int>(type));
    std::vector<double> weights;
    for (const auto& one : principles) weights.push_back(one.weight + (names.contains(one.name) ? 128 : 0));
    double sum = 0;
    for (const double weight : weights) sum += weight;
    for (double& weight : weights) weight /= sum;
    std::vector<std::size_t> counts(principles.size(), 0);
    for (std::uint64_t k = 0; k < 4000; ++k) {
      const auto line = source(type, rng{8}, k).at(0);
      for (std::size_t p = 0; p < principles.size(); ++p) counts[p] += principles[p].definition == line ? 1 : 0;
    }
    CHECK(fits(counts, weights));
  }
}

TEST_CASE("ppo_settings: samples of one prompt share their guideline, interventions stand where they are put") {
  const temporary_directory folder;
  write_bytes(folder / "interventions.json",
              R"([{"dimension":"x","definition":"no x."},{"dimension":"y","definition":"no y."},
{"dimension":"z","definition":"no z."}])");
  const prompter prompts = make_prompter(config(settings{}), demo_model());
  const settings files{"principles=reinforcement", "interventions=" + (folder / "interventions.json").string(),
                       "use_interventions=[\"z\", \"x\"]"};
  std::set<std::vector<std::string>> drawn;
  for (const std::string where : {"first", "last", "shuffled"}) {
    const guideline_source guidelines = read_guidelines(config(files + settings{"intervention_position=" + where}));
    const auto batch = rl_prompt_source(numbered(4), prompts, guidelines, 12, 3, 5)(0);
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const auto& lines = batch[i].principles;
      REQUIRE(lines.size() == 5);
      CHECK(lines == batch[i - i % 3].principles);
      drawn.insert(lines);
      // In the order of the file, whatever the order of the names.
      if (where == "first")
        CHECK(std::vector(lines.begin(), lines.begin() + 2) == std::vector<std::string>{"no x.", "no z."});
      if (where == "last")
        CHECK(std::vector(lines.begin() + 3, lines.end()) == std::vector<std::string>{"no x.", "no z."});
      CHECK(std::ranges::count(lines, "no x.") == 1);
      CHECK(std::ranges::count(lines, "no y.") == 0);
      CHECK(std::set(lines.begin(), lines.end()).size() == 5);
    }
  }
  CHECK(drawn.size() > 6);
}

TEST_CASE("ppo_settings: each pass goes through all prompts in an order of its own") {
  const prompter prompts = make_prompter(config(settings{}), demo_model());
  const rl_prompt_source source(numbered(5), prompts, read_guidelines(config(settings{})), 6, 2, 3);
  std::map<std::string, int> seen;
  std::vector<std::string> passes[2];
  // Three prompts a step, twice each: five steps are three passes.
  for (std::uint64_t step = 0; step < 5; ++step) {
    const auto batch = source(step);
    REQUIRE(batch.size() == 6);
    std::set<std::uint64_t> keys;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      keys.insert(batch[i].key);
      CHECK(batch[i].tokens == prompts.tokens(batch[i].text));
      CHECK(batch[i].text == batch[i - i % 2].text);
      ++seen[batch[i].text];
      const std::size_t pass = (step * 3 + i / 2) / 5;
      if (pass < 2 && i % 2 == 0) passes[pass].push_back(batch[i].text);
    }
    CHECK(keys.size() == 6);
  }
  CHECK(seen.size() == 5);
  for (const auto& [text, count] : seen) CHECK(count == 6);
  CHECK(passes[0] != passes[1]);

  // A step does not depend on the steps before it: a resumed run asks for it alone.
  const rl_prompt_source again(numbered(5), prompts, read_guidelines(config(settings{})), 6, 2, 3);
  CHECK(again(3).front().text == source(3).front().text);
  CHECK_THROWS_AS(rl_prompt_source(numbered(5), prompts, read_guidelines(config(settings{})), 5, 2, 3), option_error);
  CHECK_THROWS_AS(rl_prompt_source(numbered(5), prompts, read_guidelines(config(settings{})), 4, 0, 3), option_error);
}

TEST_CASE("ppo_settings: what a record says of its prompt comes along") {
  const prompter prompts = make_prompter(config(settings{}), demo_model());
  prompt_record record{.instruction = "why?", .input = "because", .length_bonus = -0.4, .type = prompt_type::reasoning};
  const rl_prompt_source source({record}, prompts, read_guidelines(config(settings{})), 1, 1, 3);
  const auto batch = source(0);
  CHECK(batch[0].text == "why?\n\nbecause");
  CHECK(batch[0].length_multiplier == -0.4);
  CHECK(batch[0].type == prompt_type::reasoning);
}

TEST_CASE("ppo_settings: the released code bounds the length bonus, the paper does not") {
  const settings one{"ppo.length_bonus.coefficient=5"};
  const auto bonus = [&](const settings& more) {
    const std::vector<token> answered(100, 5);
    return read_bonus(config(one + more).section("ppo"), 100)({.response_tokens = answered});
  };
  CHECK(bonus({}) == Approx(5));
  CHECK(bonus({"ppo.preset=salmon_code"}) == Approx(4));
  CHECK(bonus({"ppo.preset=salmon_code", "ppo.length_bonus.cap=0.5"}) == Approx(2.5));
}
