#pragma once

#include <coho/options.hpp>

namespace coho::inline v0_1::detail {

/// Describes the options shared by the trainers over fixed data. `examples`: the unit of a batch ("pairs").
template <class Visitor, class... Options>
void describe_fit_options(Visitor& visit, std::string_view examples, Options&... o) {
  visit({"learning_rate", "one step of the schedule per optimizer step"}, o.learning_rate...);
  visit({"batch_size", "per optimizer step, over all ranks", allowed::at_least(1), examples}, o.batch_size...);
  visit({"micro_batch", "what one forward may hold; does not change the result"}, o.micro_batch...);
  visit({"epochs", "passes over the data", allowed::at_least(1)}, o.epochs...);
  visit({"gradient_norm_clip", "largest norm of the gradient; 0: off", allowed::at_least(0)}, o.gradient_norm_clip...);
  visit({"shuffle", "another order of the data in each epoch"}, o.shuffle...);
  visit({"seed", "of that order"}, o.seed...);
}

}  // namespace coho::inline v0_1::detail
