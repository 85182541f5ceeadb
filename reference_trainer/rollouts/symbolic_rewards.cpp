#include "rollouts/symbolic_rewards.hpp"

#include <coho/error.hpp>

namespace coho::trainer {

symbolic_rewards::symbolic_rewards(const bonus_options& options)
    : symbolic_rewards(options.length_bonus.coefficient != 0 ? std::optional(coho::length_bonus(options.length_bonus))
                                                             : std::nullopt,
                       *find_language_identifier(options.language_identifier), options.language_bonus) {}

}  // namespace coho::trainer
