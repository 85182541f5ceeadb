// The tables of options in docs/algorithms: names and defaults are those of the descriptions in the headers.

#include <array>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

#include <coho/coho.hpp>

#include "support/catch.hpp"

using namespace coho;

namespace {

using defaults_by_name = std::map<std::string, std::string>;  // of a group: ""

// The defaults of a struct as a table may spell them: numbers in full precision, flags, names.
struct default_lister {
  defaults_by_name& out;
  std::string group{};

  template <class T>
  void operator()(const option& about, const T& value) const {
    const std::string name = group + std::string(about.name);
    if constexpr (described<T>) {
      out[name];
      T::describe(default_lister{out, name + "."}, value);
    } else if constexpr (std::is_enum_v<T>) {
      out[name] = option_names(value)[static_cast<std::size_t>(value)];
    } else if constexpr (std::is_same_v<T, bool>) {
      out[name] = value ? "true" : "false";
    } else if constexpr (std::is_arithmetic_v<T>) {
      out[name] = std::to_string(static_cast<long double>(value));
    } else {
      out[name];  // lists, and groups that are absent
    }
  }
};

template <described... Options>
std::vector<defaults_by_name> defaults_of(const Options&... presets) {
  std::vector<defaults_by_name> out(sizeof...(presets));
  auto* next = out.data();
  (Options::describe(default_lister{*next++}, presets), ...);
  return out;
}

std::map<std::string, std::vector<defaults_by_name>> known_structs() {
  using grpo = group_relative_trainer_options;
  return {{"gae_options", defaults_of(gae_options{})},
          {"return_to_go_options", defaults_of(return_to_go_options{})},
          {"leave_one_out_options", defaults_of(leave_one_out_options{})},
          {"group_relative_options", defaults_of(group_relative_options{})},
          {"gdpo_options", defaults_of(gdpo_options{})},
          {"reinforce_plus_plus_options", defaults_of(reinforce_plus_plus_options{})},
          {"whiten_options", defaults_of(whiten_options{})},
          {"reduction_options", defaults_of(reduction_options{})},
          {"supervised_options", defaults_of(supervised_options{})},
          {"reward_model_options", defaults_of(reward_model_options{})},
          {"direct_preference_options", defaults_of(direct_preference_options{})},
          {"ppo_options", defaults_of(ppo_options{})},
          {"group_relative_trainer_options",
           defaults_of(grpo{}, grpo::grpo(), grpo::dr_grpo(), grpo::rloo(), grpo::dapo())},
          {"learning_rate_options", defaults_of(learning_rate_options{})},
          {"kl_loss_options", defaults_of(kl_loss_options{})},
          {"adaptive_kl_options", defaults_of(adaptive_kl_options{})},
          {"ppo_clip_options", defaults_of(ppo_clip_options{})},
          {"gspo_options", defaults_of(gspo_options{})},
          {"cispo_options", defaults_of(cispo_options{})},
          {"dppo_options", defaults_of(dppo_options{})},
          {"sapo_options", defaults_of(sapo_options{})},
          {"entropy_bonus_options", defaults_of(entropy_bonus_options{})},
          {"importance_weights_options", defaults_of(importance_weights_options{})},
          {"bradley_terry_options", defaults_of(bradley_terry_options{})},
          {"bradley_terry_ties_options", defaults_of(bradley_terry_ties_options{})},
          {"dpo_options", defaults_of(dpo_options{})},
          {"kto_options", defaults_of(kto_options{})},
          {"orpo_options", defaults_of(orpo_options{})},
          {"simpo_options", defaults_of(simpo_options{})},
          {"cpo_options", defaults_of(cpo_options{})},
          {"aggregation_options", defaults_of(aggregation_options::paper(), aggregation_options::salmon_code())},
          {"shaping_options", defaults_of(shaping_options{})},
          {"normalize_options", defaults_of(normalize_options{})},
          {"running_normalization_options", defaults_of(running_normalization_options{})},
          {"overlong_options", defaults_of(overlong_options{})},
          {"length_bonus_options", defaults_of(length_bonus_options{})},
          {"batch_limits", defaults_of(batch_limits{})},
          {"value_clip_options", defaults_of(value_clip_options{})},
          {"huber_value_options", defaults_of(huber_value_options{})}};
}

std::vector<std::string> split(const std::string& text, const std::string& at) {
  std::vector<std::string> out;
  for (std::size_t from = 0;;) {
    const auto to = text.find(at, from);
    out.push_back(text.substr(from, to == std::string::npos ? to : to - from));
    if (to == std::string::npos) return out;
    from = to + at.size();
  }
}

std::string without_marks(std::string text) {
  std::erase(text, '`');
  const auto first = text.find_first_not_of(' ');
  return first == std::string::npos ? std::string() : text.substr(first, text.find_last_not_of(' ') - first + 1);
}

// "0 (off)" → "0".
std::string first_word(const std::string& text) { return text.substr(0, text.find_first_of(" ,:;(")); }

std::optional<double> as_number(const std::string& text) {
  if (text == "infinity") return std::numeric_limits<double>::infinity();
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  return text.empty() || *end != '\0' ? std::nullopt : std::optional(value);
}

bool is_default(const std::string& said, const std::string& real) {
  const auto a = as_number(said), b = as_number(real);
  if (!a || !b) return said == real;
  return *a == *b || std::abs(*a - *b) <= 5e-7;  // as far as to_string goes
}

// Members that a run sets, or that have no form in a recipe.
const std::set<std::string> undescribed{"token_normalizer", "sequence_normalizer", "set_sizes"};

struct marked_table {
  std::string page, of;
  std::vector<std::vector<std::string>> rows;
};

std::vector<marked_table> marked_tables() {
  std::vector<marked_table> out;
  for (const auto& file :
       std::filesystem::directory_iterator(std::filesystem::path(COHO_SOURCE_DIR) / "docs/algorithms")) {
    std::ifstream in(file.path());
    const std::string mark = "<!-- options of ";
    std::size_t line_of_table = 0;
    for (std::string line; std::getline(in, line);) {
      if (line.starts_with(mark)) {
        out.push_back({file.path().filename().string(), line.substr(mark.size(), line.find(" -->") - mark.size()), {}});
        line_of_table = 1;
      } else if (line_of_table > 0 && line.starts_with("|")) {
        if (line_of_table++ > 2) out.back().rows.push_back(split(line.substr(1), "|"));  // after heading and rule
      } else if (line_of_table > 1) {
        line_of_table = 0;
      }
    }
  }
  return out;
}

}  // namespace

TEST_CASE("docs: option tables of docs/algorithms name described options with their defaults") {
  const auto structs = known_structs();
  std::map<std::string, std::size_t> seen;
  std::size_t compared = 0;
  for (const auto& table : marked_tables()) {
    INFO(table.page << ": " << table.of);
    REQUIRE(structs.contains(table.of));
    const auto& presets = structs.at(table.of);
    ++seen[table.of];
    CHECK_FALSE(table.rows.empty());
    for (const auto& row : table.rows) {
      const auto names = split(without_marks(row.at(0)), ", ");
      for (std::size_t preset = 0; preset < presets.size(); ++preset) {
        const auto cell = without_marks(row.at(1 + preset));
        const auto values = split(cell, ", ");
        for (std::size_t i = 0; i < names.size(); ++i) {
          INFO(names[i] << " = " << cell << ", preset " << preset);
          if (undescribed.contains(names[i])) continue;
          const auto found = presets[preset].find(names[i]);
          CHECK(found != presets[preset].end());
          if (found == presets[preset].end() || found->second.empty() || cell.empty()) continue;
          if (names.size() != values.size() && names.size() != 1) continue;  // words for all of them
          const auto said = first_word(values[i]);
          const bool flag = found->second == "true" || found->second == "false";
          if (as_number(found->second) && !as_number(said)) continue;  // words
          if (flag && said != "true" && said != "false") continue;
          CHECK(is_default(said, found->second));
          ++compared;
        }
      }
    }
  }
  for (const auto& [name, presets] : structs) {
    INFO(name);
    CHECK(seen[name] == 1);
  }
  CHECK(compared > 100);
}
