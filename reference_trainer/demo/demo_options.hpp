#pragma once

#include <cstddef>

#include <coho/options.hpp>

namespace coho::trainer::demo {

/// The part of the section `demo` that trains the base model.
struct base_options {
  std::size_t base_steps = 1250;

  static void describe(auto&& visit, auto&... o) {
    visit({"base_steps", "number of training steps of the base model", allowed::at_least(1), "steps"}, o.base_steps...);
  }
};

/// The section `demo`.
struct demo_options {
  bool quick = false, from_scratch = false;
  base_options base{};
  std::size_t pairs = 3000, evaluation_pairs = 400, evaluation_prompts = 512;

  /// The defaults of a short run, or of a whole one.
  static demo_options of_length(bool quick) {
    demo_options out{.quick = quick};
    if (quick) out.pairs = 120, out.evaluation_pairs = 40, out.evaluation_prompts = 64;
    return out;
  }

  static void describe(auto&& visit, auto&... o) {
    visit({"short", "a few steps of each stage, for a quick check; thresholds are not checked"}, o.quick...);
    visit({"from_scratch", "whether the base model is trained too, in place of the shipped one"}, o.from_scratch...);
    base_options::describe(visit, o.base...);
    visit({"pairs", "number of pairs of responses that are judged to train on", allowed::at_least(1), "pairs"},
          o.pairs...);
    visit({"evaluation_pairs", "number of held-out pairs", allowed::at_least(1), "pairs"}, o.evaluation_pairs...);
    visit({"evaluation_prompts", "number of prompts that each policy is measured on", allowed::at_least(1), "prompts"},
          o.evaluation_prompts...);
  }
};

}  // namespace coho::trainer::demo
