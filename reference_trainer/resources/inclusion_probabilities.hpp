#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace coho::trainer {

/// For each weight, the probability that its entry is among `count` drawn by sample_without_replacement. Weights of 0
/// are never drawn; if at most `count` others exist, all of those are.
///
/// Drawing is a race of independent exponential clocks with rates w, so that p_i = ∫₀¹ P(fewer than count of the others
/// have rung when u = exp(−w_i t)) du, each j ≠ i with 1 − u^{w_j/w_i}.
std::vector<double> inclusion_probabilities(std::span<const double> weights, std::size_t count);

}  // namespace coho::trainer
