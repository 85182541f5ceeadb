#include "demo/measures.hpp"

#include <cmath>

#include <nlohmann/json.hpp>

#include <coho/reward/empty_response.hpp>

#include "demo/attributes.hpp"
#include "demo/principles.hpp"
#include "models/reward_model_role.hpp"

namespace coho::trainer::demo {
namespace {

// Of the first and the second response of a judged pair.
attributes first_reply_attributes(const judgement_record& record) {
  return parse_attributes(record.pair.response_1, record.pair.prompt.text());
}
// What the second response of a judged pair has.
attributes second_reply_attributes(const judgement_record& record) {
  return parse_attributes(record.pair.response_2, record.pair.prompt.text());
}

// How much the grammar prefers the first response; 0 for a tie.
double true_preference(quality q, const judgement_record& record) {
  const double difference =
      true_score(q, first_reply_attributes(record)) - true_score(q, second_reply_attributes(record));
  return std::abs(difference) < 1e-9 ? 0 : difference;
}

// Two replies to a prompt, one better than the other under the lines of a guideline.
struct ranked_replies {
  const std::string* prompt;
  const std::string *better, *worse;
  std::vector<std::string> lines;
};

// The fraction of pairs in which the reward model gives the better reply the higher score; a tie counts one half. 0
// without pairs.
double accuracy(reward_role& reward, const std::vector<ranked_replies>& questions) {
  std::vector<reward_query> queries;
  for (const auto& q : questions) {
    queries.push_back({.prompt_tokens = {},
                       .response_tokens = {},
                       .prompt = *q.prompt,
                       .response = *q.better,
                       .principles = q.lines});
    queries.push_back(
        {.prompt_tokens = {}, .response_tokens = {}, .prompt = *q.prompt, .response = *q.worse, .principles = q.lines});
  }
  const auto scores = reward.score(queries);
  double right = 0;
  for (std::size_t i = 0; i < questions.size(); ++i)
    right += scores[2 * i] > scores[2 * i + 1] ? 1.0 : scores[2 * i] == scores[2 * i + 1] ? 0.5 : 0.0;
  return questions.empty() ? 0 : right / static_cast<double>(questions.size());
}

// The accuracy under each principle by itself, in the order of `qualities`, against the grammar; pairs that are equal
// under a principle are left out. `held_out`: in wordings that the reward model has not read.
std::vector<double> accuracy_by_quality(reward_role& reward, const std::vector<judgement_record>& pairs, bool negated,
                                        bool held_out, rng random) {
  std::vector<double> out;
  for (const quality q : qualities) {
    const auto wordings = held_out ? held_out_wordings(q, negated) : training_wordings(q, negated);
    std::vector<ranked_replies> questions;
    for (const auto& record : pairs) {
      const double preferred = true_preference(q, record) * (negated ? -1 : 1);
      if (preferred == 0) continue;
      const std::string *first = &record.pair.response_1, *second = &record.pair.response_2;
      questions.push_back({&record.pair.prompt.instruction,
                           preferred > 0 ? first : second,
                           preferred > 0 ? second : first,
                           {wordings[random.index(wordings.size())]}});
    }
    out.push_back(accuracy(reward, questions));
  }
  return out;
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v;
  return sum / static_cast<double>(values.size());
}

// The accuracy on a file of preferences under sets of principles, against their labels.
double accuracy_on_sets(reward_role& reward, const std::filesystem::path& path) {
  const auto records = read_records<preference_record>(path);
  std::vector<ranked_replies> questions;
  for (const auto& record : records) {
    ranked_replies q{&record.prompt.instruction, &record.chosen(), &record.rejected(), {}};
    for (const auto& p : record.principles) q.lines.push_back(p.text);
    questions.push_back(std::move(q));
  }
  return accuracy(reward, questions);
}

}  // namespace

void reply_measures::write(summary& out, const std::string& prefix) const {
  out.set(prefix + ".length", length);
  out.set(prefix + ".self_praise_rate", self_praise_rate);
  out.set(prefix + ".facts", facts);
  out.set(prefix + ".hedge_rate", hedge_rate);
  out.set(prefix + ".example_rate", example_rate);
  out.set(prefix + ".same_language_rate", same_language_rate);
  out.set(prefix + ".on_topic_rate", on_topic_rate);
  out.set(prefix + ".valid_rate", valid_rate);
  out.set(prefix + ".empty_rate", empty_rate);
  out.set(prefix + ".cap_rate", cap_rate);
}

reply_measures measure_demo_replies(const std::filesystem::path& samples, const text_tokenizer& tokenizer) {
  reply_measures out;
  double count = 0;
  for (const auto& record : read_records<sample_record>(samples)) {
    for (std::size_t k = 0; k < record.responses.size(); ++k) {
      const attributes a = parse_attributes(record.responses[k], record.prompt.text());
      ++count;
      out.length += static_cast<double>(tokenizer.encode(record.responses[k]).size() + (record.finished[k] ? 1 : 0));
      out.self_praise_rate += a.self_praise;
      out.facts += static_cast<double>(a.facts);
      out.hedge_rate += a.hedge;
      out.example_rate += a.example;
      out.same_language_rate += a.same_language;
      out.on_topic_rate += a.on_topic;
      out.valid_rate += a.valid;
      out.empty_rate += is_blank(record.responses[k]);
      out.cap_rate += !record.finished[k];
    }
  }
  for (double* value : {&out.length, &out.self_praise_rate, &out.facts, &out.hedge_rate, &out.example_rate,
                        &out.same_language_rate, &out.on_topic_rate, &out.valid_rate, &out.empty_rate, &out.cap_rate})
    *value /= count;
  return out;
}

double judge_accuracy(const std::vector<judgement_record>& judgements) {
  std::vector<double> shares;
  for (std::size_t i = 0; i < qualities.size(); ++i) {
    double right = 0, decided = 0;
    for (const auto& record : judgements) {
      const double preferred = true_preference(qualities[i], record);
      if (preferred == 0) continue;
      ++decided;
      right += preferred * record.scores.at(i).mean() > 0;
    }
    shares.push_back(decided > 0 ? right / decided : 0);
  }
  return mean(shares);
}

void reward_accuracy::write(summary& out) const {
  out.set("rm.accuracy.positive", positive);
  out.set("rm.accuracy.negated", negated);
  out.set("rm.accuracy.unseen_positive", unseen_positive);
  out.set("rm.accuracy.unseen_negated", unseen_negated);
  out.set("rm.accuracy.pairs_of_principles", pairs_of_principles);
  out.set("rm.accuracy.triples_of_principles", triples_of_principles);
}

reward_accuracy measure_reward_model(loaded_model& model, const std::filesystem::path& reward_path,
                                     const config& options, const reward_test_data& data, std::uint64_t seed) {
  load_role(model, "reward", reward_path);
  reward_role reward = make_reward_role(model, "reward", options, "eval");
  const rng random = rng(seed).split(stream_key("reward model accuracy"));
  reward_accuracy out;
  out.positive_by_quality = accuracy_by_quality(reward, data.pairs, false, false, random.split(0));
  out.negated_by_quality = accuracy_by_quality(reward, data.pairs, true, false, random.split(1));
  out.positive = mean(out.positive_by_quality);
  out.negated = mean(out.negated_by_quality);
  out.unseen_positive = mean(accuracy_by_quality(reward, data.pairs, false, true, random.split(2)));
  out.unseen_negated = mean(accuracy_by_quality(reward, data.pairs, true, true, random.split(3)));
  out.pairs_of_principles = accuracy_on_sets(reward, data.sets_of_two);
  out.triples_of_principles = accuracy_on_sets(reward, data.sets_of_three);
  model.bank->remove("reward");
  return out;
}

}  // namespace coho::trainer::demo
