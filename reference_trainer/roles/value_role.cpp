#include "roles/value_role.hpp"

#include <ATen/core/grad_mode.h>

#include "decoder/packed_batch.hpp"
#include "roles/host_numbers.hpp"

namespace coho::trainer {

at::Tensor value_role::evaluate(const token_batch& batch) {
  if (batch.responses.total() == 0) return at::empty({0}, at::kFloat);
  const response_batch packed(batch, bank_->device());
  return bank_->scalar_output(role_,
                              bank_->hidden(role_, packed.tokens, packed.layout).index_select(0, packed.predicting));
}

std::vector<double> value_role::values(const token_batch& batch) {
  const at::NoGradGuard no_gradient;
  return to_doubles(evaluate(batch));
}

std::pair<value_role::output, value_role::pullback> value_role::forward(const token_batch& batch) {
  at::Tensor values = evaluate(batch);
  return {output{to_doubles(values)}, pullback(values)};
}

void value_role::pullback::operator()(const value_gradient& gradient) {
  if (!gradient.values.empty()) values_.backward(from_doubles(gradient.values, values_));
}

}  // namespace coho::trainer
