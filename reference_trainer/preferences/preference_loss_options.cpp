#include "preferences/preference_loss_options.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include <coho/loss/chosen_nll.hpp>

#include "config/read_options.hpp"

namespace coho::trainer {
namespace {

constexpr std::array<std::string_view, 6> loss_names{"dpo", "kto", "orpo", "simpo", "cpo", "sft"};

// Calls use(name, group, default group) for each loss.
void for_each_loss(const preference_loss_options& options, const auto& use) {
  const preference_loss_options defaults;
  use("dpo", options.dpo, defaults.dpo);
  use("kto", options.kto, defaults.kto);
  use("orpo", options.orpo, defaults.orpo);
  use("simpo", options.simpo, defaults.simpo);
  use("cpo", options.cpo, defaults.cpo);
  use("sft", options.sft, defaults.sft);
}

bool is_named(const preference_loss_options& options, std::string_view name) {
  return std::ranges::find(options.names, name) != options.names.end();
}

}  // namespace

void preference_loss_options::check_constraints(const config& section) const {
  const auto all = "one or more of dpo, kto, orpo, simpo, cpo, sft, each once";
  section.check(!names.empty(), "loss", all);
  section.check(std::set(names.begin(), names.end()).size() == names.size(), "loss", all);
  for (const auto& name : names) section.check(std::ranges::find(loss_names, name) != loss_names.end(), "loss", all);
  section.check(names.size() > 1 || names.front() != "sft", "loss",
                "a preference loss, with or without sft: `coho sft` trains on responses only");
  for_each_loss(*this, [&](const std::string& name, const auto& own, const auto& preset) {
    if (is_named(*this, name)) {
      coho::validate(own.options, "dpo." + name + ".");
    } else if (const auto changed = changed_option(own, preset); !changed.empty()) {
      refuse_unused(section, name + "." + changed, true, "loss", "unless dpo.loss names " + name);
    }
  });
}

preference_loss_sum preference_loss_options::make() const {
  preference_loss_sum out;
  for (const auto& name : names) {
    if (name == "dpo") out.add(dpo.weight, dpo_loss(dpo.options));
    if (name == "kto") out.add(kto.weight, kto_loss(kto.options));
    if (name == "orpo") out.add(orpo.weight, orpo_loss(orpo.options));
    if (name == "simpo") out.add(simpo.weight, simpo_loss(simpo.options));
    if (name == "cpo") out.add(cpo.weight, cpo_loss(cpo.options));
  }
  if (is_named(*this, "sft")) out.add(sft.weight, chosen_nll_loss());
  return out;
}

}  // namespace coho::trainer
