#include "settings/bonus_settings.hpp"

#include "config/read_options.hpp"
#include "text/language.hpp"

namespace coho::trainer {

bonus_options bonus_options::for_preset(recipe_preset preset, std::size_t max_new_tokens) {
  bonus_options out;
  out.length_bonus.max_response_tokens = static_cast<double>(max_new_tokens);
  if (preset == recipe_preset::salmon_code) out.length_bonus.cap = length_bonus_options::salmon_code().cap;
  return out;
}

void bonus_options::check_constraints(const config& section) const {
  section.check(find_language_identifier(language_identifier) != nullptr, "language_identifier",
                "cld2 or the name of a registered one");
}

bonus_options read_bonus(const config& section, recipe_preset preset, std::size_t max_new_tokens) {
  const bonus_options none = bonus_options::for_preset(preset, max_new_tokens);
  const auto read = read_section(section, none);
  if (read.length_bonus.coefficient == 0)
    refuse_unused(section, "length_bonus", read.length_bonus, none.length_bonus, "while length_bonus.coefficient is 0");
  return read;
}

}  // namespace coho::trainer
