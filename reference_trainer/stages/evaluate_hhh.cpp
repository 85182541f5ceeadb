#include "stages/evaluate_hhh.hpp"

#include <algorithm>
#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>

#include <coho/error.hpp>
#include <coho/rng.hpp>

#include "files/atomic_file.hpp"
#include "files/json_file.hpp"
#include "observe/table.hpp"
#include "roles/judge_role.hpp"
#include "stages/data_files.hpp"
#include "stages/model_files.hpp"
#include "stages/model_settings.hpp"

namespace coho::trainer {
namespace {

constexpr std::array<std::string_view, 3> placeholder_names{"{Input}", "{OutputA}", "{OutputB}"};
constexpr std::size_t wording_tokens = 256;

// The highest score; among equals, one drawn from the answers in the order of their texts.
std::size_t winner(const hhh_item& item, std::span<const double> scores, std::uint64_t seed, bool& tied) {
  const double highest = *std::ranges::max_element(scores);
  std::vector<std::size_t> best;
  for (std::size_t i = 0; i < scores.size(); ++i)
    if (scores[i] == highest) best.push_back(i);
  tied = best.size() > 1;
  std::ranges::stable_sort(best,
                           [&](std::size_t a, std::size_t b) { return item.answers[a].text < item.answers[b].text; });
  return best[rng(seed, stream_key(item.input)).index(best.size())];
}

nlohmann::json report(const choice_count& count) {
  return {{"items", count.items}, {"right", count.right}, {"accuracy", count.accuracy()}};
}

}  // namespace

choice_prompt::choice_prompt(std::string_view text, std::string_view source_name) {
  while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
  std::array<std::pair<std::size_t, std::size_t>, 3> places;
  for (std::size_t i = 0; i < placeholder_names.size(); ++i) {
    const auto name = placeholder_names[i];
    const auto at = text.find(name);
    if (at == std::string_view::npos)
      throw file_error(source_name, "placeholder " + std::string(name), "missing", "write it where its text belongs");
    if (text.find(name, at + 1) != std::string_view::npos)
      throw file_error(source_name, "placeholder " + std::string(name), "occurs a second time", "keep one of them");
    places[i] = {at, i};
  }
  std::ranges::sort(places);
  std::size_t from = 0;
  for (std::size_t i = 0; i < places.size(); ++i) {
    texts_[i] = text.substr(from, places[i].first - from);
    placeholder_[i] = places[i].second;
    from = places[i].first + placeholder_names[placeholder_[i]].size();
  }
  texts_.back() = text.substr(from);
  if (texts_.back().empty())
    throw file_error(source_name, "", "ends with a placeholder", "end it with words that \" A\" or \" B\" can follow");
}

choice_prompt choice_prompt::from_file(const std::filesystem::path& path) {
  return {read_file(path, std::size_t{1} << 20), path.string()};
}

std::string choice_prompt::operator()(std::string_view input, std::string_view first, std::string_view second) const {
  const std::array<std::string_view, 3> values{input, first, second};
  std::string out;
  for (std::size_t i = 0; i < values.size(); ++i) out.append(texts_[i]).append(values[placeholder_[i]]);
  return out.append(texts_.back());
}

hhh_item cut_item(const hhh_item& item, const sentencepiece_tokenizer& tokenizer, std::size_t tokens) {
  const auto cut = [&](std::string& text) {
    const auto all = tokenizer.encode(text);
    if (all.size() <= tokens) return false;
    text = tokenizer.decode(std::span<const token>(all).last(tokens));
    return true;
  };
  hhh_item out = item;
  if (cut(out.input)) out.input.insert(0, "... ");
  for (auto& answer : out.answers)
    if (cut(answer.text)) answer.text += "...";
  return out;
}

hhh_result score_hhh(std::span<const hhh_item> items, const choice_prompt& prompt, const choice_odds& odds,
                     std::uint64_t seed) {
  struct placement {
    std::size_t item, first, second;
  };
  std::vector<placement> placements;
  std::vector<std::string> prompts;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const auto& answers = items[i].answers;
    for (std::size_t a = 0; a < answers.size(); ++a) {
      for (std::size_t b = 0; b < answers.size(); ++b) {
        if (a == b) continue;
        placements.push_back({i, a, b});
        prompts.push_back(prompt(items[i].input, answers[a].text, answers[b].text));
      }
    }
  }
  const auto measured = odds(prompts);
  require_argument(measured.size() == prompts.size(), "hhh: the judge must give one number a prompt");
  std::vector<std::vector<double>> scores;
  for (const auto& item : items) scores.emplace_back(item.answers.size(), 0.0);
  hhh_result out;
  for (std::size_t k = 0; k < placements.size(); ++k) {
    require_argument(std::isfinite(measured[k]), "hhh: the judge gave a number that is not finite");
    scores[placements[k].item][placements[k].first] += measured[k];
    scores[placements[k].item][placements[k].second] -= measured[k];
    out.letter_bias += measured[k];
  }
  if (!placements.empty()) out.letter_bias /= static_cast<double>(placements.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    bool tied = false;
    const bool right = items[i].answers[winner(items[i], scores[i], seed, tied)].preferred;
    if (tied) ++out.ties;
    for (auto* count : {&out.categories[items[i].category], &out.overall}) {
      ++count->items;
      if (right) ++count->right;
    }
  }
  return out;
}

void evaluate_hhh(const config& options, stage_context& context) {
  const auto data = options.require<std::filesystem::path>("eval.data", "a BIG-bench task.json, or a folder of them");
  const auto wording = options.get<std::string>("eval.template", shipped("prompts/hhh.txt").string());
  options.check(!wording.empty(), "eval.template", "given: the question's wording, as prompts/hhh.txt");
  const auto batch = options.get<std::size_t>("eval.batch", 16);
  options.check(batch > 0, "eval.batch", "at least 1");
  const auto limit = options.get<std::size_t>("eval.limit", 0);
  const auto adapter = options.get<std::filesystem::path>("eval.adapter", {});
  read_model_settings(options);
  if (context.dry_run) {
    if (!not_there(wording)) choice_prompt::from_file(wording);
    if (const auto most = options.find<std::size_t>("eval.max_tokens"))
      options.check(*most >= wording_tokens + 3, "eval.max_tokens",
                    "at least 259, of which 256 are left for the wording");
    return context.rehearse(options);
  }
  const choice_prompt prompt = choice_prompt::from_file(wording);
  loaded_model model = load_model(options);
  load_role(model, "judge", adapter);
  const auto positions = static_cast<std::size_t>(model.bank->config().max_position_embeddings);
  const auto max_tokens = options.get<std::size_t>("eval.max_tokens", positions);
  options.check(max_tokens >= wording_tokens + 3, "eval.max_tokens",
                "at least 259, of which 256 are left for the wording");
  auto items = read_hhh(data);
  if (!context.begin(options)) return;

  if (limit > 0 && limit < items.size()) items.resize(limit);
  for (auto& item : items) item = cut_item(item, *model.tokenizer, (max_tokens - wording_tokens) / 3);
  judge_role judge(*model.bank, "judge", *model.tokenizer);
  auto bar = context.start_progress("eval", items.size(), "items");
  const auto result = score_hhh(
      items, prompt,
      [&](std::span<const std::string> prompts) {
        std::vector<double> out;
        for (std::size_t first = 0; first < prompts.size(); first += 2 * batch) {
          const auto part =
              judge.log_odds(prompts.subspan(first, std::min(2 * batch, prompts.size() - first)), " A", " B");
          out.insert(out.end(), part.begin(), part.end());
          bar.advance(part.size() / 2);
          context.stop_if_interrupted();
        }
        return out;
      },
      context.seed);
  bar.finish();

  text_table table({"category", "items", "right", "accuracy"});
  nlohmann::json out{{"kind", "hhh"},
                     {"data", data.string()},
                     {"template", wording},
                     {"ties", result.ties},
                     {"letter_bias", result.letter_bias}};
  const auto add = [&](const std::string& name, const choice_count& count) {
    table.add_row({name, std::to_string(count.items), std::to_string(count.right), format_number(count.accuracy(), 4)});
  };
  for (const auto& [name, count] : result.categories) {
    add(name, count);
    out["categories"][name] = report(count);
  }
  add("overall", result.overall);
  out["overall"] = report(result.overall);
  std::cout << table.text() << "ties: " << result.ties
            << ", mean log-odds of A over B: " << format_number(result.letter_bias, 3) << '\n';
  if (!context.out.empty()) write_json(context.out, out);
}

}  // namespace coho::trainer
