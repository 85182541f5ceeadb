#pragma once

#include <functional>

#include <ATen/ATen.h>

namespace coho::trainer {

/// f(x), keeping x and f for backward instead of what the operators of f save (Chen et al. 2016, "Training deep nets
/// with sublinear memory cost", §3): backward runs f again, with gradients on, and differentiates that.
///
///     hidden = recompute_in_backward([&block](const at::Tensor& x) { return block.forward(x); }, hidden);
///
///  - x: any tensor, with or without a gradient; f: one tensor from one tensor, called once now and once per backward.
///  - Leaf tensors that f captures get their gradients added at once, as by `backward()`, even if x needs none.
///    Captured tensors of another graph must be detached: that graph has its own backward. f is held until the result's
///    graph is gone, so what it captures must belong to it or outlive it.
///  - Both calls must compute the same: f with dropout sets its generator at its start, and tensors that f reads must
///    not change in between. Then gradients equal those of plain f(x) bit for bit, except that a leaf that several
///    calls share gets one addition per call, which rounds differently if it had a gradient before.
///  - With gradients off (at::NoGradGuard) this is f(x). With gradients on the result needs a gradient even if nothing
///    in f is trained: call f directly in that case.
///  - Exceptions of f during backward propagate from `backward()`. argument_error: backward with create_graph (the
///    inner graph is gone by then, so there is no second derivative).
at::Tensor recompute_in_backward(std::function<at::Tensor(const at::Tensor&)> f, const at::Tensor& x);

}  // namespace coho::trainer
