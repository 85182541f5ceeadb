#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <coho/options.hpp>

#include "kernels/cpu/adamw_kernels.hpp"
#include "optimization/moment_type.hpp"
#include "optimization/parameter_set.hpp"

namespace coho::trainer {

/// Parameters whose name has this prefix learn `factor` times as fast as the rest: a scalar head that starts at zero on
/// a trained trunk.
struct learning_rate_factor {
  std::string prefix;
  double factor = 1.0;
};

struct adamw_options {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;
  moment_type moments = moment_type::float32;
  /// The first match applies.
  std::vector<learning_rate_factor> factors{};

  /// The options of a recipe: without `factors`, which the stage sets.
  static void describe(auto&& visit, auto&... o) {
    visit({"beta1", "decay of the first moment", allowed::in_from(0, 1)}, o.beta1...);
    visit({"beta2", "decay of the second moment", allowed::in_from(0, 1)}, o.beta2...);
    visit({"epsilon", "number added to the root of the second moment", allowed::above(0)}, o.epsilon...);
    visit({"weight_decay", "weight decay, decoupled from the gradient", allowed::at_least(0)}, o.weight_decay...);
    visit({"moments", "form in which both moments are stored"}, o.moments...);
  }
  /// Throws option_error naming the option.
  void validate() const;
};

/// A stored moment. `absmax` is defined only for 8-bit: one number per block, tensor by tensor.
struct stored_moment {
  at::Tensor values;  ///< [count] float32, bfloat16 or uint8 codes
  at::Tensor absmax;
};

/// AdamW (Loshchilov and Hutter 2019) over a parameter_set; satisfies coho::optimizer. Several sets may be stepped by
/// several optimizers; each optimizer owns the moments of one set. On a device the step uses libtorch's operators; it
/// agrees with the CPU to rounding, not bit for bit.
///
///     coho::trainer::adamw optimizer(bank.train("policy"), {.moments = moment_type::eight_bit});
///     optimizer.step(2e-5);
class adamw {
 public:
  explicit adamw(parameter_set& parameters, const adamw_options& options = {});

  /// One step on the parameters with their current gradients, which stay as they are.
  void step(double learning_rate);

  std::int64_t steps() const { return steps_; }
  moment_type moments() const { return options_.moments; }
  /// Bytes of both moments.
  std::size_t state_bytes() const;

  const stored_moment& first_moment() const { return first_; }
  const stored_moment& second_moment() const { return second_; }
  /// The stored moments, as fp32 [count].
  at::Tensor decode_first_moment() const;
  at::Tensor decode_second_moment() const;
  /// Restores moments from `first_moment` and `second_moment`: the next step is as if never interrupted. argument_error
  /// if they have another form or size.
  void restore(std::int64_t steps, const stored_moment& first, const stored_moment& second);

 private:
  // Parameters with one learning rate; with 8-bit moments those of one tensor, because blocks begin with each tensor.
  struct run {
    std::int64_t begin, end, first_block;
    double factor;
  };
  // Blocks of 8-bit moments in all runs so far.
  std::int64_t block_total() const;
  // The step on one run, in pieces: by the CPU kernel on all cores, or by operators on a device.
  void step_run(const run& part, const cpu::adamw_coefficients& coefficients);
  at::Tensor decode(const stored_moment& moment, const cpu::dynamic_map& map) const;

  parameter_set* parameters_;
  adamw_options options_;
  std::int64_t steps_ = 0;
  stored_moment first_, second_;
  std::vector<run> runs_;
};

}  // namespace coho::trainer
