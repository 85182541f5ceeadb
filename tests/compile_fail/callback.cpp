// expect: coho callback: the object has none of on_step_begin, on_rollouts, on_minibatch, on_step_end and
#include <coho/toy/sgd.hpp>
#include <coho/toy/tabular_policy.hpp>
#include <coho/train/supervised.hpp>

struct progress {
#ifndef COHO_FAIL
  void on_step_end(const coho::supervised_statistics&) {}
#else
  void on_step_ends(const coho::supervised_statistics&) {}
#endif
};

void train(coho::toy::tabular_policy& policy) {
  coho::toy::sgd optimizer(policy);
  coho::supervised_trainer trainer(policy, optimizer);
  trainer.fit({}, progress{});
}
