#include "decoder/recompute.hpp"

#include <utility>

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <coho/error.hpp>

namespace coho::trainer {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Carries the function from the forward to the backward pass.
struct function_capsule : torch::CustomClassHolder {
  explicit function_capsule(std::function<at::Tensor(const at::Tensor&)> f) : call(std::move(f)) {}
  std::function<at::Tensor(const at::Tensor&)> call;
};

struct recompute_function : torch::autograd::Function<recompute_function> {
  // libtorch records a node only if an argument needs a gradient; `anchor` does, even if only tensors inside f are
  // trained.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& /*anchor*/,
                            const c10::intrusive_ptr<function_capsule>& f) {
    context->save_for_backward({x});
    context->saved_data["f"] = c10::IValue::make_capsule(f);
    return f->call(x.detach());  // libtorch has switched gradients off here
  }

  // Runs f again with gradients on and goes back through that; leaves inside f get their gradients added on the way.
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    require_argument(!at::GradMode::is_enabled(),
                     "recompute_in_backward: there is no second derivative; call backward without create_graph");
    const at::Tensor saved = context->get_saved_variables()[0];
    const auto f = c10::static_intrusive_pointer_cast<function_capsule>(context->saved_data.at("f").toCapsule());
    const at::Tensor x = saved.detach().set_requires_grad(saved.requires_grad());
    {
      at::Tensor out;
      {
        const at::AutoGradMode gradients_on(true);
        out = f->call(x);
      }
      if (out.requires_grad()) out.backward(gradients[0]);
    }
    return {x.grad(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor recompute_in_backward(std::function<at::Tensor(const at::Tensor&)> f, const at::Tensor& x) {
  require_argument(static_cast<bool>(f) && x.defined(), "recompute_in_backward: needs a function and a defined tensor");
  if (!at::GradMode::is_enabled()) return f(x);
  const at::Tensor anchor = at::empty({0}, at::kFloat).set_requires_grad(true);
  return recompute_function::apply(x, anchor, c10::make_intrusive<function_capsule>(std::move(f)));
}

}  // namespace coho::trainer
