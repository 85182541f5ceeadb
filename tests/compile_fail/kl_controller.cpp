// expect: coho::kl_controller (2): the controller has no update(double mean_sequence_kl, double sequences)
#include <coho/train/steps/policy_components.hpp>

struct halving {
  double coefficient() const;
#ifndef COHO_FAIL
  void update(double mean_sequence_kl, double sequences);
#else
  void update();
#endif
  coho::kl_controller_state save() const;
  void restore(const coho::kl_controller_state&);
};

static_assert(coho::require_kl_controller<halving>());
