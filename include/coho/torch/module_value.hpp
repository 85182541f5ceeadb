#pragma once

#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <coho/concepts.hpp>
#include <coho/packed.hpp>
#include <coho/torch/module_gradients.hpp>
#include <coho/torch/module_tokens.hpp>

namespace coho::inline v0_1 {

/// A libtorch module as a value model: differentiable_value_model and trainable.
///
/// The module's forward takes tokens [B, T] and returns values [B, T] or [B, T, 1] (`token_module`). V_t is read at the
/// token before y_t, so that no value sees the token that it judges. `padding`: any token of the vocabulary, on the
/// right of shorter rows. The module is held by reference. It must not share parameters with the policy's module:
/// shared ones would be clipped and zeroed twice.
///
/// Throws `argument_error` for outputs of the wrong shape.
///
///     coho::module_value value{value_module};
template <token_module Module>
class module_value : public module_gradients {
 public:
  explicit module_value(Module& module, token padding = 0)
      : module_gradients(detail::module_parameters(module)), module_(&module), padding_(padding) {}

  struct output {
    std::vector<double> values;
  };
  /// Holds the graph of one forward.
  class pullback {
   public:
    explicit pullback(at::Tensor values) : values_(std::move(values)) {}
    /// Adds to the parameters' gradients; nothing for no values.
    void operator()(const value_gradient& gradient) const {
      if (!gradient.values.empty()) values_.backward(detail::from_doubles(gradient.values, values_));
    }

   private:
    at::Tensor values_;
  };

  /// One V_t per response token: one forward, without a graph.
  std::vector<double> values(const token_batch& batch) {
    const at::NoGradGuard no_gradient;
    return detail::to_doubles(evaluate(batch));
  }
  /// The same with the graph; the pullback may be called once.
  std::pair<output, pullback> forward(const token_batch& batch) {
    at::Tensor values = evaluate(batch);
    return {output{detail::to_doubles(values)}, pullback(values)};
  }

 private:
  // V_t of each response token [N], in the graph.
  at::Tensor evaluate(const token_batch& batch) {
    if (batch.responses.total() == 0) return at::empty({0});
    const detail::module_batch rows(batch, padding_, detail::device_of(detail::module_parameters(*module_)));
    return detail::position_numbers(*module_, rows.rows, rows.predicting, "module_value");
  }

  Module* module_;
  token padding_;
};

}  // namespace coho::inline v0_1
