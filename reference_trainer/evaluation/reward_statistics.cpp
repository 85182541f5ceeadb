#include "evaluation/reward_statistics.hpp"

#include <cmath>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "files/atomic_file.hpp"
#include "files/json_file.hpp"
#include "observe/summary.hpp"

namespace coho::trainer {
namespace {

constexpr const char* file_name = "reward_statistics.json";
constexpr const char* remedy = "train the reward model again, or take ppo.normalization.from = initial_policy";

}  // namespace

void write_reward_statistics(const std::filesystem::path& folder, const reward_statistics& statistics) {
  const auto& scores = statistics.scores;
  const nlohmann::ordered_json figures{{"over", statistics.over},   {"scores", scores.scores},
                                       {"mean", scores.mean},       {"deviation", scores.deviation},
                                       {"minimum", scores.minimum}, {"maximum", scores.maximum}};
  summary(figures).write(folder / file_name);
}

std::optional<reward_statistics> read_reward_statistics(const std::filesystem::path& folder) {
  const auto path = folder / file_name;
  if (!std::filesystem::exists(path)) return std::nullopt;
  const auto json = read_json(path);
  const auto number = [&](const char* name) {
    if (!json.is_object() || !json.contains(name) || !json.at(name).is_number())
      throw file_error(path.string(), name, "is missing or not a finite number", remedy);
    return json.at(name).get<double>();
  };
  const double count = number("scores");
  const score_moments scores{.scores = count >= 1 ? static_cast<std::size_t>(count) : 0,
                             .mean = number("mean"),
                             .deviation = number("deviation"),
                             .minimum = number("minimum"),
                             .maximum = number("maximum")};
  if (scores.scores == 0) throw file_error(path.string(), "scores", "must be at least 1", remedy);
  if (scores.deviation < 0) throw file_error(path.string(), "deviation", "must be at least 0", remedy);
  return reward_statistics{
      json.contains("over") && json.at("over").is_string() ? json.at("over").get<std::string>() : "", scores};
}

void remove_reward_statistics(const std::filesystem::path& folder) { std::filesystem::remove(folder / file_name); }

void copy_reward_statistics(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (std::filesystem::exists(from / file_name)) copy_atomically(from / file_name, to / file_name);
}

normalize_options load_normalization(const std::filesystem::path& reward_model, double clip) {
  const auto stored = read_reward_statistics(reward_model);
  const auto path = (reward_model / file_name).string();
  if (!stored) throw file_error(path, "", "no such file: this reward model was saved without its scale", remedy);
  if (!(stored->scores.deviation > 0))
    throw file_error(path, "deviation", "is 0: all scores were equal, which gives no scale", remedy);
  return {.mean = stored->scores.mean, .deviation = stored->scores.deviation, .clip = clip};
}

}  // namespace coho::trainer
