#include "rollouts/symbolic_rewards.hpp"

#include <map>
#include <utility>

#include <coho/error.hpp>

#include "config/read_options.hpp"
#include "text/language.hpp"

namespace coho::trainer {
namespace {

// The registered identifiers, by name.
std::map<std::string, language_identifier_function>& language_identifiers() {
  static std::map<std::string, language_identifier_function> known{{"cld2", identify_language}};
  return known;
}

}  // namespace

void register_language_identifier(const std::string& name, language_identifier_function identifier) {
  language_identifiers()[name] = std::move(identifier);
}

bonus_options bonus_options::for_preset(recipe_preset preset, std::size_t max_new_tokens) {
  bonus_options out;
  out.length_bonus.max_response_tokens = static_cast<double>(max_new_tokens);
  if (preset == recipe_preset::salmon_code) out.length_bonus.cap = length_bonus_options::salmon_code().cap;
  return out;
}

void bonus_options::settle(const config& section) const {
  section.check(language_identifiers().contains(language_identifier), "language_identifier",
                "cld2 or the name of a registered one");
}

symbolic_rewards read_bonus(const config& section, recipe_preset preset, std::size_t max_new_tokens) {
  const bonus_options none = bonus_options::for_preset(preset, max_new_tokens);
  const auto read = read_section(section, none);
  const length_bonus_options& length = read.length_bonus;
  if (length.coefficient == 0)
    refuse_unused(section, "length_bonus", length, none.length_bonus, "while length_bonus.coefficient is 0");
  return {length.coefficient != 0 ? std::optional(coho::length_bonus(length)) : std::nullopt,
          language_identifiers().at(read.language_identifier), read.language_bonus};
}

}  // namespace coho::trainer
