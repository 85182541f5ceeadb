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
}

adamw::adamw(parameter_set& parameters, const adamw_options& options)
    : parameters_(&parameters), options_(options), first_(at::zeros_like(parameters.values())), second_(at::zeros_like(parameters.values())) {
  options.validate();
}

void adamw::step(double learning_rate) {
  ++steps_;
  const double correction1 = 1.0 / (1.0 - std::pow(options_.beta1, static_cast<double>(steps_)));
  const double correction2 = 1.0 / (1.0 - std::pow(options_.beta2, static_cast<double>(steps_)));
  const at::Tensor &values = parameters_->values(), &gradients = parameters_->gradients();
  if (values.is_cpu()) {
    float *p = values.data_ptr<float>(), *m = first_.data_ptr<float>(), *v = second_.data_ptr<float>();
    const float* g = gradients.data_ptr<float>();
    at::parallel_for(0, values.numel(), 1 << 15, [&](std::int64_t begin, std::int64_t end) {
      cpu::adamw(p + begin, g + begin, m + begin, v + begin, end - begin, static_cast<float>(learning_rate),
                 static_cast<float>(options_.beta1), static_cast<float>(options_.beta2), static_cast<float>(options_.epsilon),
                 static_cast<float>(options_.weight_decay), static_cast<float>(correction1), static_cast<float>(correction2));
    });
    return;
  }
  const at::NoGradGuard no_gradient;
  first_.mul_(options_.beta1).add_(gradients, 1.0 - options_.beta1);
  second_.mul_(options_.beta2).addcmul_(gradients, gradients, 1.0 - options_.beta2);
  const at::Tensor scale = (second_ * correction2).sqrt_().add_(options_.epsilon);
  values.mul_(1.0 - learning_rate * options_.weight_decay).addcdiv_(first_, scale, -learning_rate * correction1);
}

void adamw::restore(std::int64_t steps, const at::Tensor& first, const at::Tensor& second) {
  require_argument(first.numel() == first_.numel() && second.numel() == second_.numel() && steps >= 0,
                   "adamw: saved moments do not fit the parameters");
  steps_ = steps;
  first_.copy_(first.reshape_as(first_));
  second_.copy_(second.reshape_as(second_));
}

}  // namespace coho::trainer
