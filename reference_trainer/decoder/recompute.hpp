#pragma once

#include <ATen/ATen.h>

#include <functional>

namespace coho::trainer {

/// f(x) that keeps x and f for backward instead of what the operators of f save (Chen et al. 2016, "Training deep nets
/// with sublinear memory cost", §3): backward runs f again, with gradients on, and goes back through that.
///
///     hidden = coho::trainer::recomputed([&block](const at::Tensor& x) { return block.forward(x); }, hidden);
///
/// - x: any tensor, whether it needs a gradient or not; f: one tensor from one tensor, called once now and once a
/// backward.
/// - Leaf tensors that f captures get their gradients added at once, as by `backward()`, even where x needs none. What
/// f
///   captures of another graph must be detached: that graph is left to its own backward. f is held until the result's graph
///   is gone, so it must own what it captures or outlive that.
/// - Both calls must compute the same: f with dropout sets its generator at its start, and tensors that f reads must
/// not
///   change in between. Then gradients equal those of plain f(x) bit for bit, except that a leaf which several calls share
///   gets one addition a call, which rounds differently where it held a gradient before.
/// - With gradients off (at::NoGradGuard) this is f(x). With them on the result needs a gradient even where nothing in
/// f
///   learns: call f itself there.
/// - What f throws during backward leaves `backward()` as it is. argument_error: backward with create_graph (the inner
/// graph
///   is gone by then, there is no second derivative).
at::Tensor recomputed(std::function<at::Tensor(const at::Tensor&)> f, const at::Tensor& x);

}  // namespace coho::trainer
