#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "optimization/parameter_set.hpp"

namespace coho::trainer {

/// Parameters whose name begins so learn `factor` times as fast as the rest: a scalar head that starts at zero beside a trained trunk.
struct learning_rate_factor {
  std::string prefix;
  double factor = 1.0;
};

struct adamw_options {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;
  /// The first that fits a name counts.
  std::vector<learning_rate_factor> factors{};

  void validate() const;
};

/// AdamW (Loshchilov and Hutter 2019) over a parameter_set; satisfies coho::optimizer. Several sets may be stepped by several
/// optimizers; one optimizer owns the moments of one set.
class adamw {
 public:
  explicit adamw(parameter_set& parameters, const adamw_options& options = {});

  void step(double learning_rate);

  std::int64_t steps() const { return steps_; }
  const at::Tensor& first_moment() const { return first_; }
  const at::Tensor& second_moment() const { return second_; }
  void restore(std::int64_t steps, const at::Tensor& first, const at::Tensor& second);

 private:
  parameter_set* parameters_;
  adamw_options options_;
  std::int64_t steps_ = 0;
  at::Tensor first_, second_;
  /// The parameters in runs of one learning rate.
  struct run {
    std::int64_t begin, end;
    double factor;
  };
  std::vector<run> runs_;
};

}  // namespace coho::trainer
