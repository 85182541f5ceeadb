#include "optimization/adamw.hpp"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include <coho/error.hpp>

#include "kernels/cpu/decoder_kernels.hpp"

namespace coho::trainer {

void adamw_options::validate() const {
  require_option(beta1 >= 0 && beta1 < 1, "adamw.beta1", beta1, "in [0, 1)");
  require_option(beta2 >= 0 && beta2 < 1, "adamw.beta2", beta2, "in [0, 1)");
  require_option(epsilon > 0, "adamw.epsilon", epsilon, "above 0");
  require_option(weight_decay >= 0, "adamw.weight_decay", weight_decay, "at least 0");
  for (const auto& f : factors) require_option(f.factor >= 0, "adamw.factors", f.factor, "at least 0");
}

adamw::adamw(parameter_set& parameters, const adamw_options& options)
    : parameters_(&parameters), options_(options), first_(at::zeros_like(parameters.values())), second_(at::zeros_like(parameters.values())) {
  options.validate();
  const auto& entries = parameters.entries();
  for (std::size_t i = 0; i < entries.size(); ++i) {
    double factor = 1.0;
    for (const auto& f : options.factors) {
      if (!entries[i].name.starts_with(f.prefix)) continue;
      factor = f.factor;
      break;
    }
    const std::int64_t end = i + 1 < entries.size() ? entries[i + 1].offset : parameters.count();
    if (!runs_.empty() && runs_.back().factor == factor)
      runs_.back().end = end;
    else
      runs_.push_back({entries[i].offset, end, factor});
  }
}

void adamw::step(double learning_rate) {
  ++steps_;
  const double correction1 = 1.0 / (1.0 - std::pow(options_.beta1, static_cast<double>(steps_)));
  const double correction2 = 1.0 / (1.0 - std::pow(options_.beta2, static_cast<double>(steps_)));
  const at::Tensor &values = parameters_->values(), &gradients = parameters_->gradients();
  const at::NoGradGuard no_gradient;
  for (const auto& [first, last, factor] : runs_) {
    const double rate = learning_rate * factor;
    if (values.is_cpu()) {
      float *p = values.data_ptr<float>() + first, *m = first_.data_ptr<float>() + first, *v = second_.data_ptr<float>() + first;
      const float* g = gradients.data_ptr<float>() + first;
      at::parallel_for(0, last - first, 1 << 15, [&, rate = rate](std::int64_t begin, std::int64_t end) {
        cpu::adamw(p + begin, g + begin, m + begin, v + begin, end - begin, static_cast<float>(rate),
                   static_cast<float>(options_.beta1), static_cast<float>(options_.beta2), static_cast<float>(options_.epsilon),
                   static_cast<float>(options_.weight_decay), static_cast<float>(correction1), static_cast<float>(correction2));
      });
      continue;
    }
    const std::int64_t n = last - first;
    const at::Tensor p = values.narrow(0, first, n), g = gradients.narrow(0, first, n), m = first_.narrow(0, first, n), v = second_.narrow(0, first, n);
    m.mul_(options_.beta1).add_(g, 1.0 - options_.beta1);
    v.mul_(options_.beta2).addcmul_(g, g, 1.0 - options_.beta2);
    const at::Tensor scale = (v * correction2).sqrt_().add_(options_.epsilon);
    p.mul_(1.0 - rate * options_.weight_decay).addcdiv_(m, scale, -rate * correction1);
  }
}

void adamw::restore(std::int64_t steps, const at::Tensor& first, const at::Tensor& second) {
  require_argument(first.numel() == first_.numel() && second.numel() == second_.numel() && steps >= 0,
                   "adamw: saved moments do not fit the parameters");
  steps_ = steps;
  first_.copy_(first.reshape_as(first_));
  second_.copy_(second.reshape_as(second_));
}

}  // namespace coho::trainer
