#include "adapters/projection.hpp"

#include <memory>

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <coho/error.hpp>

#include "adapters/dropout.hpp"
#include "decoder/decoder_ops.hpp"

namespace coho::trainer {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// How the linears' common input is computed from the function's one or two tensors.
enum class input_kind { plain, normed, gated };

// The arguments of the autograd function other than tensors.
struct projection_call {
  input_kind input = input_kind::plain;
  double epsilon = 0;
  keep_inputs keep = keep_inputs::no;
  struct layer {
    linear_weight weight;
    at::Tensor bias;
    double scale = 0, dropout = 0;
    rng random{0};
    // Indices in the function's list of tensors, or −1.
    int w = -1, bias_at = -1, a = -1, b = -1;
  };
  std::vector<layer> layers;
};

// Carries the call from the forward to the backward pass.
struct call_capsule : torch::CustomClassHolder {
  explicit call_capsule(std::shared_ptr<const projection_call> c) : value(std::move(c)) {}
  std::shared_ptr<const projection_call> value;
};

// A matrix in x's type.
at::Tensor cast_like(const at::Tensor& x, const at::Tensor& matrix) { return matrix.to(x.scalar_type()); }

// drop(x): a new tensor unless nothing is dropped.
at::Tensor apply_dropout(const at::Tensor& x, const projection_call::layer& layer) {
  if (layer.dropout == 0) return x;
  const at::Tensor out = x.clone(at::MemoryFormat::Contiguous);
  drop_elements(out, layer.dropout, layer.random);
  return out;
}

// y = x Wᵀ + bias + s u Bᵀ; returns u = drop(x) Aᵀ, undefined without an adapter.
at::Tensor layer_forward(const at::Tensor& x, const projection_call::layer& layer, const at::Tensor& a,
                         const at::Tensor& b, at::Tensor& y) {
  y = layer.weight.product(x, layer.bias);
  if (!a.defined()) return {};
  const at::Tensor u = at::matmul(apply_dropout(x, layer), cast_like(x, a).t());
  y.addmm_(u, cast_like(x, b).t(), 1, layer.scale);
  return u;
}

// The linears' input, and 1/RMS of its rows if it was normed.
struct input_parts {
  at::Tensor x, r;
};

// Computes the linears' input from the function's tensors: x itself, RMSNorm of x with a weight, or silu(gate) ∘ up.
input_parts make_input(const projection_call& c, const at::Tensor& first, const at::Tensor& second) {
  switch (c.input) {
    case input_kind::plain:
      return {first, {}};
    case input_kind::gated:
      return {gated_silu(first, second), {}};
    case input_kind::normed: {
      const rms_norm_result out = rms_norm_forward(first, second, c.epsilon);
      return {out.y, out.r};
    }
  }
  return {};
}

// The forward pass keeps the function's tensors, the norm's 1/RMS, u of each adapter and, if asked to, the linears'
// input; the backward pass recomputes the input otherwise. The equations are in projection.hpp.
struct projection_function : torch::autograd::Function<projection_function> {
  // tensors: first, second if there is one, then W, bias, A, B of the layers at their indices.
  static variable_list forward(AutogradContext* context, at::TensorList tensors,
                               const std::shared_ptr<const projection_call>& c) {
    const at::Tensor first = tensors[0], second = c->input == input_kind::plain ? at::Tensor() : tensors[1];
    const input_parts input = make_input(*c, first, second);
    variable_list out, saved(tensors.begin(), tensors.end());
    at::Tensor r = input.r.defined() ? input.r : at::empty({0}, first.options().requires_grad(false));
    saved.push_back(r);
    c10::List<bool> needs_gradient;
    for (const at::Tensor& tensor : tensors) needs_gradient.push_back(tensor.requires_grad());
    for (const auto& layer : c->layers) {
      at::Tensor y;
      const at::Tensor u =
          layer_forward(input.x, layer, layer.a < 0 ? at::Tensor() : tensors[static_cast<std::size_t>(layer.a)],
                        layer.b < 0 ? at::Tensor() : tensors[static_cast<std::size_t>(layer.b)], y);
      if (u.defined()) saved.push_back(u);
      out.push_back(y);
    }
    if (c->input != input_kind::plain && c->keep == keep_inputs::yes) saved.push_back(input.x);
    context->save_for_backward(std::move(saved));
    context->saved_data["call"] = c10::IValue::make_capsule(c10::make_intrusive<call_capsule>(c));
    context->saved_data["needs_gradient"] = needs_gradient;
    // An unused output has no gradient and costs no product.
    context->set_materialize_grads(false);
    return out;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    require_argument(!at::GradMode::is_enabled(),
                     "projection: there is no second derivative; call backward without create_graph");
    const variable_list saved = context->get_saved_variables();
    const auto c = c10::static_intrusive_pointer_cast<call_capsule>(context->saved_data["call"].toCapsule())->value;
    const c10::List<bool> needs_gradient = context->saved_data["needs_gradient"].toBoolList();
    const std::size_t count = needs_gradient.size();
    const at::Tensor& first = saved[0];
    const at::Tensor second = c->input == input_kind::plain ? at::Tensor() : saved[1];
    const at::Tensor& r = saved[count];
    const bool input_gradient = needs_gradient[0] || (c->input != input_kind::plain && needs_gradient[1]);
    at::Tensor x;
    if (c->input == input_kind::plain)
      x = first;
    else if (c->keep == keep_inputs::yes)
      x = saved.back();
    else
      x = c->input == input_kind::normed ? recompute_rms_norm(first, second, r) : gated_silu(first, second);

    variable_list out(count + 1);
    at::Tensor dx;
    const auto add_to_dx = [&](const at::Tensor& part) { dx = dx.defined() ? dx.add_(part) : part; };
    std::size_t next_u = count + 1;
    for (std::size_t i = 0; i < c->layers.size(); ++i) {
      const auto& layer = c->layers[i];
      const at::Tensor u = layer.a < 0 ? at::Tensor() : saved[next_u++];
      if (!gradients[i].defined()) continue;
      const at::Tensor g = gradients[i].contiguous();
      if (input_gradient) add_to_dx(layer.weight.transposed_product(g));
      const auto as_size = [](int index) { return static_cast<std::size_t>(index); };
      if (layer.w >= 0 && needs_gradient[as_size(layer.w)]) out[as_size(layer.w)] = at::matmul(g.t(), x);
      if (layer.bias_at >= 0 && needs_gradient[as_size(layer.bias_at)]) out[as_size(layer.bias_at)] = g.sum(0);
      if (layer.a < 0) continue;
      const at::Tensor &a = saved[as_size(layer.a)], &b = saved[as_size(layer.b)];
      if (needs_gradient[as_size(layer.b)])
        out[as_size(layer.b)] = at::matmul(g.t(), u).mul_(layer.scale).to(b.scalar_type());
      const at::Tensor du = at::matmul(g, cast_like(x, b)).mul_(layer.scale);
      if (needs_gradient[as_size(layer.a)])
        out[as_size(layer.a)] = at::matmul(du.t(), apply_dropout(x, layer)).to(a.scalar_type());
      if (!input_gradient) continue;
      if (layer.dropout == 0 && dx.defined()) {
        dx.addmm_(du, cast_like(x, a));
      } else {
        const at::Tensor part = at::matmul(du, cast_like(x, a));
        if (layer.dropout > 0) drop_elements(part, layer.dropout, layer.random);
        add_to_dx(part);
      }
    }
    if (!dx.defined()) return out;
    switch (c->input) {
      case input_kind::plain:
        out[0] = dx;
        break;
      case input_kind::gated:
        if (needs_gradient[1]) out[1] = dx * at::silu(first);
        if (needs_gradient[0]) out[0] = at::silu_backward(dx.mul_(second), first);
        break;
      case input_kind::normed: {
        const rms_norm_gradient norm = rms_norm_backward(dx, first, second, r, needs_gradient[1]);
        out[0] = norm.x;
        out[1] = norm.weight;
        break;
      }
    }
    return out;
  }
};

// The outputs of the linears: through the autograd function if anything needs a gradient, otherwise directly, without
// keeping anything.
std::vector<at::Tensor> run_projections(input_kind kind, const at::Tensor& first, const at::Tensor& second,
                                        double epsilon, std::span<const projection> linears, keep_inputs keep) {
  auto c = std::make_shared<projection_call>();
  c->input = kind;
  c->epsilon = epsilon;
  c->keep = keep;
  variable_list tensors{first};
  if (second.defined()) tensors.push_back(second);
  bool gradient = first.requires_grad() || (second.defined() && second.requires_grad());
  const auto add_tensor = [&](const at::Tensor& tensor) {
    gradient = gradient || tensor.requires_grad();
    tensors.push_back(tensor);
    return static_cast<int>(tensors.size()) - 1;
  };
  for (const projection& linear : linears) {
    projection_call::layer layer{.weight = *linear.weight,
                                 .bias = linear.bias != nullptr ? *linear.bias : at::Tensor()};
    // A dense weight or a bias is an argument of the function only if it is trained: nothing else reads its index.
    if (!layer.weight.is_quantized() && layer.weight.dense().requires_grad())
      layer.w = add_tensor(layer.weight.dense());
    if (layer.bias.defined() && layer.bias.requires_grad()) layer.bias_at = add_tensor(layer.bias);
    if (linear.pair != nullptr && linear.pair->defined()) {
      layer.scale = linear.pair->scale;
      layer.dropout = linear.dropout;
      layer.random = linear.random;
      layer.a = add_tensor(linear.pair->a);
      layer.b = add_tensor(linear.pair->b);
    }
    c->layers.push_back(std::move(layer));
  }
  if (at::GradMode::is_enabled() && gradient)
    return projection_function::apply(at::TensorList(tensors), std::shared_ptr<const projection_call>(c));
  const at::Tensor x = make_input(*c, first, second).x;
  std::vector<at::Tensor> out;
  for (const auto& layer : c->layers) {
    at::Tensor y;
    const auto tensor = [&](int index) { return index < 0 ? at::Tensor() : tensors[static_cast<std::size_t>(index)]; };
    layer_forward(x, layer, tensor(layer.a), tensor(layer.b), y);
    out.push_back(y);
  }
  return out;
}

}  // namespace

at::Tensor project(const at::Tensor& x, const projection& linear) {
  return run_projections(input_kind::plain, x, {}, 0, {&linear, 1}, keep_inputs::no).front();
}

std::vector<at::Tensor> project_normed(const at::Tensor& x, const at::Tensor& norm_weight, double epsilon,
                                       std::span<const projection> linears, keep_inputs keep) {
  return run_projections(input_kind::normed, x, norm_weight, epsilon, linears, keep);
}

at::Tensor project_gated(const at::Tensor& gate, const at::Tensor& up, const projection& linear, keep_inputs keep) {
  return run_projections(input_kind::gated, gate, up, 0, {&linear, 1}, keep).front();
}

}  // namespace coho::trainer
