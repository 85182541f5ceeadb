#pragma once

#include <string>
#include <vector>

#include <coho/loss/cpo.hpp>
#include <coho/loss/dpo.hpp>
#include <coho/loss/kto.hpp>
#include <coho/loss/orpo.hpp>
#include <coho/loss/simpo.hpp>
#include <coho/options.hpp>
#include <coho/train/preference_loss_sum.hpp>

#include "config/config.hpp"

namespace coho::trainer {

/// The options of one loss of `dpo.loss`: its weight, and its own.
template <class Options>
struct weighted_loss_options {
  double weight = 1;
  Options options{};

  static void describe(auto&& visit, auto&... o) {
    visit({"weight", "factor on this loss", allowed::above(0)}, o.weight...);
    Options::describe(visit, o.options...);
  }
};

/// A loss without options of its own.
struct no_loss_options {
  static void describe(auto&&, auto&...) {}
};

/// The losses of preference optimisation: the library's, by name, and `sft`, which adds the negative log-likelihood of
/// the chosen responses.
struct preference_loss_options {
  std::vector<std::string> names{"dpo"};
  weighted_loss_options<dpo_options> dpo{};
  weighted_loss_options<kto_options> kto{};
  weighted_loss_options<orpo_options> orpo{};
  weighted_loss_options<simpo_options> simpo{};
  weighted_loss_options<cpo_options> cpo{};
  weighted_loss_options<no_loss_options> sft{};

  static void describe(auto&& visit, auto&... o) {
    visit({"loss",
           "loss or list of losses, whose weighted sum is minimised: dpo, kto, orpo, simpo, cpo, and sft next to one "
           "of these"},
          o.names...);
    visit({"dpo", "direct preference optimisation"}, o.dpo...);
    visit({"kto", "Kahneman–Tversky optimisation"}, o.kto...);
    visit({"orpo", "odds-ratio preference optimisation"}, o.orpo...);
    visit({"simpo", "simple preference optimisation"}, o.simpo...);
    visit({"cpo", "contrastive preference optimisation"}, o.cpo...);
    visit({"sft", "negative log-likelihood of the chosen responses, per token"}, o.sft...);
  }
  /// Throws config_error for a name that is unknown or given twice, for sft alone, and for options of a loss that is
  /// not used; option_error for options of a loss that contradict each other.
  void check_constraints(const config& section) const;

  /// The sum; accuracy and margin are those of the loss that is named first, sft aside.
  preference_loss_sum make() const;
};

}  // namespace coho::trainer
