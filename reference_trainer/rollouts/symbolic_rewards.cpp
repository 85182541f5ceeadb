#include "rollouts/symbolic_rewards.hpp"

#include <map>
#include <utility>

#include <coho/error.hpp>

#include "text/language.hpp"

namespace coho::trainer {
namespace {

std::map<std::string, language_identifier_function>& language_identifiers() {
  static std::map<std::string, language_identifier_function> known{{"cld2", identify_language}};
  return known;
}

}  // namespace

void register_language_identifier(const std::string& name, language_identifier_function identifier) {
  language_identifiers()[name] = std::move(identifier);
}

symbolic_rewards read_bonus(const config& section, std::size_t max_new_tokens) {
  const bool paper = section.choice("preset", "paper", {"paper", "salmon_code"}) == "paper";
  const double length = section.get<double>("length_bonus.coefficient", 0.0);
  const length_bonus_options length_options{
      .coefficient = length,
      .max_response_tokens =
          section.get<double>("length_bonus.max_response_tokens", static_cast<double>(max_new_tokens)),
      .cap = section.get<double>("length_bonus.cap",
                                 paper ? length_bonus_options{}.cap : length_bonus_options::salmon_code().cap)};
  const double language = section.get<double>("language_bonus", 0.0);
  const auto identifier = section.get<std::string>("language_identifier", "cld2");
  const auto known = language_identifiers().find(identifier);
  section.check(known != language_identifiers().end(), "language_identifier", "cld2 or the name of a registered one");
  const length_bonus checked(length_options);
  return {length != 0 ? std::optional(checked) : std::nullopt, known->second, language};
}

}  // namespace coho::trainer
