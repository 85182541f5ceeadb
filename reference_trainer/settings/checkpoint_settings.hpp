#pragma once

#include <cstddef>
#include <cstdint>

#include "config/config.hpp"
#include "config/read_options.hpp"

namespace coho::trainer {

/// When a training run saves its state, and how many of the saves stay.
struct checkpoint_options {
  std::uint64_t save_every = 0;
  std::size_t keep = 1;

  static void describe(auto&& visit, auto&... o) {
    visit({"save_every", "steps between two checkpoints; 0: none is saved", {}, "steps"}, o.save_every...);
    visit({"keep", "number of the latest checkpoints that stay", allowed::at_least(1)}, o.keep...);
  }
  /// Throws config_error for a number of checkpoints where none is saved. `fallback`: the default of `keep`, which may
  /// be given all the same, as resolved recipes do.
  void check_constraints(const config& section, std::size_t fallback = 1) const {
    refuse_unused(section, "keep", save_every == 0 && keep != fallback, "save_every", "while save_every is 0");
  }
};

}  // namespace coho::trainer
