#include "resources/principle_check.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <optional>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "files/json_file.hpp"
#include "text/utf8.hpp"

namespace coho::trainer {
namespace {

constexpr std::string_view blanks = " \t\r\n";
constexpr std::array<std::string_view, 4> known_members{"dimension", "definition", "negative_definition", "weight"};

std::vector<std::string_view> characters_of(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const std::size_t length = std::max<std::size_t>(1, utf8_length(text));
    out.push_back(text.substr(0, length));
    text.remove_prefix(length);
  }
  return out;
}

std::size_t words_in(std::string_view text) {
  std::size_t out = 0;
  bool inside = false;
  for (const char c : text) {
    const bool blank = blanks.find(c) != std::string_view::npos;
    out += !blank && !inside;
    inside = !blank;
  }
  return out;
}

bool is_letter_or_digit(std::string_view character) {
  const auto c = static_cast<unsigned char>(character.front());
  if (c < 0x80) return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  // U+2000 to U+203F, U+3000 to U+303F, U+FF01 to U+FF0F and U+FF1A to U+FF20: dashes, quotes, wide stops.
  if (character.starts_with("\xE2\x80") || character.starts_with("\xE3\x80")) return false;
  if (!character.starts_with("\xEF\xBC")) return true;
  const auto last = static_cast<unsigned char>(character.back());
  return last > 0xA0 || (last >= 0x90 && last <= 0x99);
}

// Letters and digits in lower case, one blank for whatever lies between; four in a row.
std::set<std::string> shingles(std::string_view text) {
  std::vector<std::string> kept{" "};
  for (const auto character : characters_of(text)) {
    const bool letter = is_letter_or_digit(character);
    if (!letter && kept.back() == " ") continue;
    std::string plain = letter ? std::string(character) : " ";
    if (plain[0] >= 'A' && plain[0] <= 'Z') plain[0] = static_cast<char>(plain[0] - 'A' + 'a');
    kept.push_back(std::move(plain));
  }
  if (kept.back() != " ") kept.emplace_back(" ");
  constexpr std::size_t row = 4;
  std::set<std::string> out;
  for (std::size_t i = 0; i + std::min(row, kept.size()) <= kept.size(); ++i) {
    std::string shingle;
    for (std::size_t k = i; k < std::min(i + row, kept.size()); ++k) shingle += kept[k];
    out.insert(std::move(shingle));
  }
  return out;
}

class checker {
 public:
  checker(const nlohmann::json& list, const principle_check_options& options) : options_(options) {
    for (std::size_t i = 0; i < list.size(); ++i) read(i, list[i]);
    check_names();
    check_definitions();
    check_negations();
    fill_measures();
  }

  principle_report take() { return std::move(out_); }

 private:
  void say(std::string place, std::string text, bool wrong = true) {
    out_.findings.push_back({std::move(place), std::move(text), wrong});
  }

  std::string place(std::size_t i) const {
    const auto& name = out_.entries[i].name;
    return "entry " + std::to_string(i + 1) + (name.empty() ? "" : " (\"" + name + "\")");
  }

  void read(std::size_t i, const nlohmann::json& value) {
    principle_measures& entry = out_.entries.emplace_back();
    if (!value.is_object()) return say(place(i), "is not a JSON object");
    if (const auto name = value.find("dimension"); name != value.end() && name->is_string())
      entry.name = name->get<std::string>();
    for (const auto& [key, ignored] : value.items())
      if (std::ranges::find(known_members, key) == known_members.end())
        say(place(i), "has an unknown member \"" + key + "\"");
    static_cast<void>(text(i, value, "dimension", true));
    entry.definition = text(i, value, "definition", true);
    entry.negative_definition = text(i, value, "negative_definition", false);
    const auto weight = value.find("weight");
    if (weight == value.end() || weight->is_null()) return;
    if (!weight->is_number() || !std::isfinite(weight->get<double>()) || weight->get<double>() < 0) {
      say(place(i), "\"weight\" is " + weight->dump() + ", not a number of at least 0");
      entry.weight = 0;
    } else {
      entry.weight = weight->get<double>();
      if (entry.weight == 0) say(place(i), "has the weight 0 and is never drawn", false);
    }
  }

  std::string text(std::size_t i, const nlohmann::json& value, const std::string& key, bool required) {
    const auto found = value.find(key);
    if (found == value.end() || found->is_null()) {
      if (required) say(place(i), "has no \"" + key + "\"");
      return {};
    }
    if (!found->is_string()) {
      say(place(i), "\"" + key + "\" is not a text");
      return {};
    }
    auto out = found->get<std::string>();
    if (out.find_first_not_of(blanks) == std::string::npos) {
      say(place(i), "\"" + key + "\" is empty");
    } else if (key != "dimension" && !ends_as_sentence(out)) {
      say(place(i), "\"" + key + "\" does not end as a sentence: \"…" + tail(out) + "\"");
    }
    return out;
  }

  static std::string tail(std::string_view text) {
    const auto all = characters_of(text);
    std::string out;
    for (std::size_t i = all.size() > 20 ? all.size() - 20 : 0; i < all.size(); ++i) out += all[i];
    return out;
  }

  void check_names() {
    for (std::size_t i = 0; i < out_.entries.size(); ++i)
      for (std::size_t j = 0; j < i; ++j)
        if (!out_.entries[i].name.empty() && out_.entries[i].name == out_.entries[j].name)
          say(place(i), "has the name of entry " + std::to_string(j + 1));
  }

  void check_definitions() {
    const auto& entries = out_.entries;
    const auto compare = [&](std::size_t i, std::size_t j, const char* which, const std::string& a,
                             const std::string& b) {
      if (a.empty() || b.empty()) return;
      const double overlap = text_overlap(a, b);
      if (overlap >= options_.near_same)
        say(place(i), std::string(which) + (overlap == 1 ? " is that of " : " is nearly that of ") + place(j));
    };
    for (std::size_t i = 0; i < entries.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        compare(i, j, "\"definition\"", entries[i].definition, entries[j].definition);
        compare(i, j, "\"negative_definition\"", entries[i].negative_definition, entries[j].negative_definition);
      }
      // A negation may differ by a "not": only the same text is wrong.
      if (!entries[i].negative_definition.empty() && !entries[i].definition.empty() &&
          text_overlap(entries[i].definition, entries[i].negative_definition) == 1)
        say(place(i), "\"negative_definition\" is its own \"definition\"");
    }
  }

  void check_negations() {
    const auto none = [](const principle_measures& entry) { return entry.negative_definition.empty(); };
    const auto missing = std::ranges::count_if(out_.entries, none);
    if (missing == static_cast<std::ptrdiff_t>(out_.entries.size()))
      return say("", "no entry has a negative definition: for sampling in RL, not for training a reward model", false);
    for (std::size_t i = 0; i < out_.entries.size(); ++i)
      if (none(out_.entries[i])) say(place(i), "has no negative definition, others have one");
  }

  void fill_measures() {
    std::vector<double> weights;
    for (auto& entry : out_.entries) {
      weights.push_back(entry.weight);
      entry.characters = characters_of(entry.definition).size();
      entry.words = words_in(entry.definition);
      if (options_.count_tokens) entry.tokens = options_.count_tokens(entry.definition);
    }
    const auto positive = static_cast<std::size_t>(std::ranges::count_if(weights, [](double w) { return w > 0; }));
    if (positive == 0) say("", "no entry has a positive weight: nothing can be drawn");
    if (positive > 0 && positive < options_.drawn_together)
      say("",
          "only " + std::to_string(positive) + " entries can be drawn, fewer than " +
              std::to_string(options_.drawn_together) + " a prompt",
          false);
    const auto drawn = inclusion_probabilities(weights, options_.drawn_together);
    for (std::size_t i = 0; i < drawn.size(); ++i) out_.entries[i].drawn = drawn[i];
  }

  const principle_check_options& options_;
  principle_report out_;
};

// P(fewer than `count` of the clocks other than i have rung) at u = exp(−w_i t).
double few_have_rung(std::span<const double> rates, std::size_t i, std::size_t count, double u) {
  std::vector<double> rung(count, 0.0);  // P(so many have rung), the last ones beyond count left out
  rung[0] = 1;
  for (std::size_t j = 0; j < rates.size(); ++j) {
    if (j == i) continue;
    const double silent = std::pow(u, rates[j] / rates[i]);
    for (std::size_t n = count; n-- > 0;) rung[n] = rung[n] * silent + (n > 0 ? rung[n - 1] * (1 - silent) : 0.0);
  }
  double sum = 0;
  for (const double p : rung) sum += p;
  return sum;
}

}  // namespace

bool principle_report::sound() const { return std::ranges::none_of(findings, &principle_finding::wrong); }

principle_report check_collection(const std::filesystem::path& path, const principle_check_options& options) {
  require_option(options.drawn_together >= 1, "principles.drawn_together", options.drawn_together, "at least 1");
  require_option(options.near_same > 0 && options.near_same <= 1, "principles.near_same", options.near_same,
                 "above 0 and at most 1");
  const nlohmann::json list = read_json(path);
  if (!list.is_array() || list.empty())
    throw file_error(path.string(), "", "is not a JSON array of principles",
                     "write [{\"dimension\", \"definition\", \"negative_definition\"?, \"weight\"?}, …]");
  return checker(list, options).take();
}

double text_overlap(std::string_view a, std::string_view b) {
  const auto first = shingles(a), second = shingles(b);
  std::size_t common = 0;
  for (const auto& each : first) common += second.count(each);
  return static_cast<double>(common) / static_cast<double>(first.size() + second.size() - common);
}

bool ends_as_sentence(std::string_view text) {
  constexpr std::array<std::string_view, 9> closing{"\"", "'", ")", "]", "”", "’", "»", "」", "）"};
  constexpr std::array<std::string_view, 8> ends{".", "!", "?", "…", "。", "！", "？", "।"};
  for (bool closed = true; closed;) {
    while (!text.empty() && blanks.find(text.back()) != std::string_view::npos) text.remove_suffix(1);
    closed = false;
    for (const auto each : closing) {
      if (!text.ends_with(each)) continue;
      text.remove_suffix(each.size());
      closed = true;
    }
  }
  return std::ranges::any_of(ends, [&](std::string_view end) { return text.ends_with(end); });
}

std::vector<double> inclusion_probabilities(std::span<const double> weights, std::size_t count) {
  std::vector<double> rates;
  for (const double weight : weights) {
    require_argument(std::isfinite(weight) && weight >= 0,
                     "inclusion probabilities: weights must be finite, at least 0");
    if (weight > 0) rates.push_back(weight);
  }
  std::vector<double> out;
  std::size_t i = 0;
  for (const double weight : weights) {
    if (weight == 0 || count == 0) {
      out.push_back(0);
    } else if (rates.size() <= count) {
      out.push_back(1);
    } else {
      // Tanh-sinh: the integrand is steep at 0 where the other weights are small beside this one.
      constexpr double step = 1.0 / 32;
      double sum = 0, whole = 0;
      for (double x = -3.5; x <= 3.5; x += step) {
        const double inner = std::numbers::pi / 2 * std::sinh(x);
        const double u = 1 / (1 + std::exp(-2 * inner));
        const double share = std::cosh(x) / std::pow(std::cosh(inner), 2);
        sum += share * few_have_rung(rates, i, count, u);
        whole += share;
      }
      out.push_back(sum / whole);
    }
    if (weight > 0) ++i;
  }
  return out;
}

}  // namespace coho::trainer
