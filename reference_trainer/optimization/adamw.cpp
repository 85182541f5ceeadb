#include "optimization/adamw.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <coho/error.hpp>
#include <coho/rng.hpp>

#include "optimization/adamw_operators.hpp"

namespace coho::trainer {
namespace {

// Pieces begin at multiples of their size in the whole buffer, not at a thread's partition: no result depends on
// threads.
constexpr std::int64_t cpu_piece = 1 << 15;
// Operators need room for a few temporaries per piece; random bits have one key per piece.
constexpr std::int64_t device_piece = 1 << 22;
constexpr std::int64_t key_piece = device_piece;

// Blocks of 8-bit moments for n elements.
std::int64_t block_count(std::int64_t n) { return (n + cpu::moment_block - 1) / cpu::moment_block; }

at::ScalarType to_scalar_type(moment_type type) {
  return type == moment_type::float32 ? at::kFloat : type == moment_type::bfloat16 ? at::kBFloat16 : at::kByte;
}

/// Calls body(begin, end) for [first, last) cut at multiples of `size`; on all cores if `parallel`.
template <class Body>
void for_each_piece(std::int64_t first, std::int64_t last, std::int64_t size, bool parallel, const Body& body) {
  if (first >= last) return;
  const auto pieces = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t piece = begin; piece < end; ++piece)
      body(std::max(first, piece * size), std::min(last, (piece + 1) * size));
  };
  const std::int64_t begin = first / size, end = (last + size - 1) / size;
  if (parallel)
    at::parallel_for(begin, end, 1, pieces);
  else
    pieces(begin, end);
}

// A moment of zeros in its stored form.
stored_moment empty_moment(const at::Tensor& like, moment_type type, std::int64_t blocks, const cpu::dynamic_map& map) {
  stored_moment out;
  out.values = at::zeros({like.numel()}, like.options().dtype(to_scalar_type(type)).requires_grad(false));
  if (type != moment_type::eight_bit) return out;
  out.values.fill_(std::lower_bound(std::begin(map.values), std::end(map.values), 0.0f) - std::begin(map.values));
  out.absmax = at::zeros({blocks}, like.options().requires_grad(false));
  return out;
}

// 0 for a tensor that is not defined.
std::size_t byte_size(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<std::size_t>(tensor.numel()) * tensor.element_size() : 0;
}

// Whether a saved tensor has the type and size of ours; both may be undefined.
bool same_form(const at::Tensor& given, const at::Tensor& own) {
  if (!given.defined() || !own.defined()) return given.defined() == own.defined();
  return given.scalar_type() == own.scalar_type() && given.numel() == own.numel();
}

// Restores a tensor of a checkpoint in place; the shapes were compared before.
void copy_into(const at::Tensor& given, const at::Tensor& own) {
  if (own.defined()) own.copy_(given.reshape_as(own));
}

}  // namespace

void adamw_options::validate() const {
  coho::validate(*this, "adamw.");
  for (const auto& f : factors) require_option(f.factor >= 0, "adamw.factors", f.factor, "at least 0");
}

adamw::adamw(parameter_set& parameters, const adamw_options& options) : parameters_(&parameters), options_(options) {
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
    if (options.moments != moment_type::eight_bit && !runs_.empty() && runs_.back().factor == factor)
      runs_.back().end = end;
    else
      runs_.push_back({entries[i].offset, end, block_total(), factor});
  }
  first_ = empty_moment(parameters.values(), options.moments, block_total(), cpu::signed_dynamic_map());
  second_ = empty_moment(parameters.values(), options.moments, block_total(), cpu::unsigned_dynamic_map());
}

std::int64_t adamw::block_total() const {
  return runs_.empty() ? 0 : runs_.back().first_block + block_count(runs_.back().end - runs_.back().begin);
}

void adamw::step(double learning_rate) {
  ++steps_;
  const double correction1 = 1.0 / (1.0 - std::pow(options_.beta1, static_cast<double>(steps_)));
  const double correction2 = 1.0 / (1.0 - std::pow(options_.beta2, static_cast<double>(steps_)));
  const at::NoGradGuard no_gradient;
  for (const run& part : runs_) {
    step_run(part, {static_cast<float>(learning_rate * part.factor), static_cast<float>(options_.beta1),
                    static_cast<float>(options_.beta2), static_cast<float>(options_.epsilon),
                    static_cast<float>(options_.weight_decay), static_cast<float>(correction1),
                    static_cast<float>(correction2)});
  }
}

void adamw::step_run(const run& part, const cpu::adamw_coefficients& coefficients) {
  const at::Tensor &values = parameters_->values(), &gradients = parameters_->gradients();
  const bool host = values.is_cpu();
  const std::int64_t size = host ? cpu_piece : device_piece;
  const auto slice = [](const at::Tensor& tensor, std::int64_t begin, std::int64_t end) {
    return tensor.narrow(0, begin, end - begin);
  };
  if (options_.moments == moment_type::float32) {
    for_each_piece(part.begin, part.end, size, host, [&](std::int64_t begin, std::int64_t end) {
      if (!host)
        return adamw_by_operators(slice(values, begin, end), slice(gradients, begin, end),
                                  slice(first_.values, begin, end), slice(second_.values, begin, end), coefficients);
      cpu::adamw(values.data_ptr<float>() + begin, gradients.data_ptr<float>() + begin,
                 first_.values.data_ptr<float>() + begin, second_.values.data_ptr<float>() + begin, end - begin,
                 coefficients);
    });
  } else if (options_.moments == moment_type::bfloat16) {
    for_each_piece(part.begin, part.end, size, host, [&](std::int64_t begin, std::int64_t end) {
      const std::uint32_t key =
          rng(static_cast<std::uint64_t>(steps_), static_cast<std::uint64_t>(begin / key_piece))();
      const auto start = static_cast<std::uint32_t>(begin % key_piece);
      if (!host)
        return adamw_bfloat16_by_operators(slice(values, begin, end), slice(gradients, begin, end),
                                           slice(first_.values, begin, end), slice(second_.values, begin, end),
                                           coefficients, key, start);
      cpu::adamw_bfloat16(values.data_ptr<float>() + begin, gradients.data_ptr<float>() + begin,
                          static_cast<std::uint16_t*>(first_.values.data_ptr()) + begin,
                          static_cast<std::uint16_t*>(second_.values.data_ptr()) + begin, end - begin, coefficients,
                          key, start);
    });
  } else {
    // Counted from the beginning of the tensor, so that pieces contain whole blocks.
    for_each_piece(0, part.end - part.begin, size, host, [&](std::int64_t from, std::int64_t to) {
      const std::int64_t begin = part.begin + from, end = part.begin + to;
      const std::int64_t block = part.first_block + from / cpu::moment_block, last = block + block_count(to - from);
      if (!host)
        return adamw_8bit_by_operators(slice(values, begin, end), slice(gradients, begin, end),
                                       slice(first_.values, begin, end), slice(second_.values, begin, end),
                                       slice(first_.absmax, block, last), slice(second_.absmax, block, last),
                                       coefficients);
      cpu::adamw_8bit(values.data_ptr<float>() + begin, gradients.data_ptr<float>() + begin,
                      first_.values.data_ptr<std::uint8_t>() + begin, second_.values.data_ptr<std::uint8_t>() + begin,
                      first_.absmax.data_ptr<float>() + block, second_.absmax.data_ptr<float>() + block, end - begin,
                      coefficients);
    });
  }
}

std::size_t adamw::state_bytes() const {
  return byte_size(first_.values) + byte_size(first_.absmax) + byte_size(second_.values) + byte_size(second_.absmax);
}

at::Tensor adamw::decode(const stored_moment& moment, const cpu::dynamic_map& map) const {
  if (options_.moments != moment_type::eight_bit) return moment.values.to(at::kFloat);
  const at::Tensor out = at::empty({parameters_->count()}, moment.absmax.options());
  for (const run& part : runs_) {
    const std::int64_t n = part.end - part.begin;
    if (n == 0) continue;
    out.narrow(0, part.begin, n)
        .copy_(decode_moment(moment.values.narrow(0, part.begin, n),
                             moment.absmax.narrow(0, part.first_block, block_count(n)), map));
  }
  return out;
}

at::Tensor adamw::decode_first_moment() const { return decode(first_, cpu::signed_dynamic_map()); }
at::Tensor adamw::decode_second_moment() const { return decode(second_, cpu::unsigned_dynamic_map()); }

void adamw::restore(std::int64_t steps, const stored_moment& first, const stored_moment& second) {
  require_argument(steps >= 0 && same_form(first.values, first_.values) && same_form(first.absmax, first_.absmax) &&
                       same_form(second.values, second_.values) && same_form(second.absmax, second_.absmax),
                   "adamw: saved moments do not match the parameters or are not stored as " +
                       std::string(moment_type_name(options_.moments)));
  const at::NoGradGuard no_gradient;
  steps_ = steps;
  copy_into(first.values, first_.values);
  copy_into(first.absmax, first_.absmax);
  copy_into(second.values, second_.values);
  copy_into(second.absmax, second_.absmax);
}

}  // namespace coho::trainer
