#include "resources/principle_check.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "files/json_file.hpp"
#include "resources/inclusion_probabilities.hpp"
#include "text/text_overlap.hpp"
#include "text/utf8.hpp"
#include "text/white_space.hpp"

namespace coho::trainer {
namespace {

constexpr std::string_view blanks = " \t\r\n";
constexpr std::array<std::string_view, 4> known_members{"dimension", "definition", "negative_definition", "weight"};

// Reads what can be read of each entry, then compares entries with one another.
class collection_checker {
 public:
  // Runs all checks; `finish` returns what they found.
  collection_checker(const nlohmann::json& list, const principle_check_options& options) : options_(options) {
    for (std::size_t i = 0; i < list.size(); ++i) read_entry(i, list[i]);
    check_names();
    check_definitions();
    check_negations();
    fill_measures();
  }

  principle_report finish() { return std::move(out_); }

 private:
  // `wrong` false: a note.
  void report(std::string place, std::string text, bool wrong = true) {
    out_.findings.push_back({std::move(place), std::move(text), wrong});
  }

  // Where principle i is in the file, for a finding.
  std::string place(std::size_t i) const {
    const auto& name = out_.entries[i].name;
    return "entry " + std::to_string(i + 1) + (name.empty() ? "" : " (\"" + name + "\")");
  }

  // Measures of an entry; what is wrong with it is reported, and left empty.
  void read_entry(std::size_t i, const nlohmann::json& value) {
    principle_measures& entry = out_.entries.emplace_back();
    if (!value.is_object()) return report(place(i), "is not a JSON object");
    if (const auto name = value.find("dimension"); name != value.end() && name->is_string())
      entry.name = name->get<std::string>();
    for (const auto& [key, ignored] : value.items())
      if (std::ranges::find(known_members, key) == known_members.end())
        report(place(i), "has an unknown member \"" + key + "\"");
    static_cast<void>(read_text(i, value, "dimension", true));
    entry.definition = read_text(i, value, "definition", true);
    entry.negative_definition = read_text(i, value, "negative_definition", false);
    const auto weight = value.find("weight");
    if (weight == value.end() || weight->is_null()) return;
    if (!weight->is_number() || !std::isfinite(weight->get<double>()) || weight->get<double>() < 0) {
      report(place(i), "\"weight\" is " + weight->dump() + ", not a number of at least 0");
      entry.weight = 0;
    } else {
      entry.weight = weight->get<double>();
      if (entry.weight == 0) report(place(i), "has weight 0 and is never drawn", false);
    }
  }

  // The member, or an empty text after a report.
  std::string read_text(std::size_t i, const nlohmann::json& value, const std::string& key, bool required) {
    const auto found = value.find(key);
    if (found == value.end() || found->is_null()) {
      if (required) report(place(i), "has no \"" + key + "\"");
      return {};
    }
    if (!found->is_string()) {
      report(place(i), "\"" + key + "\" is not a text");
      return {};
    }
    auto out = found->get<std::string>();
    if (out.find_first_not_of(blanks) == std::string::npos) {
      report(place(i), "\"" + key + "\" is empty");
    } else if (key != "dimension" && !ends_as_sentence(out)) {
      report(place(i), "\"" + key + "\" does not end as a sentence: \"…" + last_characters(out) + "\"");
    }
    return out;
  }

  // For messages: the last 20.
  static std::string last_characters(std::string_view text) {
    const auto all = split_utf8(text);
    std::string out;
    for (std::size_t i = all.size() > 20 ? all.size() - 20 : 0; i < all.size(); ++i) out += all[i];
    return out;
  }

  // Principles are drawn, negated and reported by name.
  void check_names() {
    for (std::size_t i = 0; i < out_.entries.size(); ++i)
      for (std::size_t j = 0; j < i; ++j)
        if (!out_.entries[i].name.empty() && out_.entries[i].name == out_.entries[j].name)
          report(place(i), "has the name of entry " + std::to_string(j + 1));
  }

  // Nearly equal definitions make one principle count twice.
  void check_definitions() {
    const auto& entries = out_.entries;
    const auto compare = [&](std::size_t i, std::size_t j, const char* which, const std::string& a,
                             const std::string& b) {
      if (a.empty() || b.empty()) return;
      const double overlap = text_overlap(a, b);
      if (overlap >= options_.near_same)
        report(place(i), std::string(which) +
                             (overlap == 1 ? " is the same as that of " : " is nearly the same as that of ") +
                             place(j));
    };
    for (std::size_t i = 0; i < entries.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        compare(i, j, "\"definition\"", entries[i].definition, entries[j].definition);
        compare(i, j, "\"negative_definition\"", entries[i].negative_definition, entries[j].negative_definition);
      }
      // A negation may differ only by a "not", so only identical texts are wrong.
      if (!entries[i].negative_definition.empty() && !entries[i].definition.empty() &&
          text_overlap(entries[i].definition, entries[i].negative_definition) == 1)
        report(place(i), "\"negative_definition\" equals its \"definition\"");
    }
  }

  // A collection needs negations for all entries or for none.
  void check_negations() {
    const auto none = [](const principle_measures& entry) { return entry.negative_definition.empty(); };
    const auto missing = std::ranges::count_if(out_.entries, none);
    if (missing == static_cast<std::ptrdiff_t>(out_.entries.size()))
      return report("", "no entry has a negative definition: for sampling in RL, not for training a reward model",
                    false);
    for (std::size_t i = 0; i < out_.entries.size(); ++i)
      if (none(out_.entries[i])) report(place(i), "has no negative definition, but others have one");
  }

  // Lengths, and the chance of each entry to be drawn.
  void fill_measures() {
    std::vector<double> weights;
    for (auto& entry : out_.entries) {
      weights.push_back(entry.weight);
      entry.characters = split_utf8(entry.definition).size();
      entry.words = count_words(entry.definition);
      if (options_.count_tokens) entry.tokens = options_.count_tokens(entry.definition);
    }
    const auto positive = static_cast<std::size_t>(std::ranges::count_if(weights, [](double w) { return w > 0; }));
    if (positive == 0) report("", "no entry has a positive weight: nothing can be drawn");
    if (positive > 0 && positive < options_.drawn_together)
      report("",
             "only " + std::to_string(positive) + " entries can be drawn, fewer than " +
                 std::to_string(options_.drawn_together) + " per prompt",
             false);
    const auto drawn = inclusion_probabilities(weights, options_.drawn_together);
    for (std::size_t i = 0; i < drawn.size(); ++i) out_.entries[i].drawn = drawn[i];
  }

  const principle_check_options& options_;
  principle_report out_;
};

}  // namespace

bool principle_report::is_sound() const { return std::ranges::none_of(findings, &principle_finding::wrong); }

principle_report check_principle_file(const std::filesystem::path& path, const principle_check_options& options) {
  require_option(options.drawn_together >= 1, "principles.drawn_together", options.drawn_together, "at least 1");
  require_option(options.near_same > 0 && options.near_same <= 1, "principles.near_same", options.near_same,
                 "above 0 and at most 1");
  const nlohmann::json list = read_json(path);
  if (!list.is_array() || list.empty())
    throw file_error(path.string(), "", "is not a JSON array of principles",
                     "write [{\"dimension\", \"definition\", \"negative_definition\"?, \"weight\"?}, …]");
  return collection_checker(list, options).finish();
}

}  // namespace coho::trainer
