#include "distributed/process_group.hpp"

#include <algorithm>
#include <cstdint>

#include <coho/error.hpp>
#include <coho/parallel/all_gather.hpp>
#include <coho/parallel/detail/serialization.hpp>

namespace coho::trainer {

// Each rank sums one block of a piece, in rank order, and sends the sums to all.
template <class Number>
void process_group::sum_in_rank_order(std::span<Number> values) {
  const std::size_t ranks = size();
  if (ranks == 1 || values.empty()) return;
  const std::size_t block = std::min(piece, (values.size() + ranks - 1) / ranks);
  std::vector<Number> sent(block * ranks), received(block * ranks), sums(block);
  for (std::size_t begin = 0; begin < values.size(); begin += sent.size()) {
    const auto part = values.subspan(begin, std::min(sent.size(), values.size() - begin));
    std::ranges::copy(part, sent.begin());
    std::fill(sent.begin() + static_cast<std::ptrdiff_t>(part.size()), sent.end(), Number(0));
    transport_->all_to_all(std::as_bytes(std::span(sent)), std::as_writable_bytes(std::span(received)),
                           block * sizeof(Number));
    for (std::size_t i = 0; i < block; ++i) {
      double total = 0;
      for (std::size_t r = 0; r < ranks; ++r) total += static_cast<double>(received[r * block + i]);
      sums[i] = static_cast<Number>(total);
    }
    transport_->all_gather(std::as_bytes(std::span(sums)), std::as_writable_bytes(std::span(sent)));
    std::copy_n(sent.begin(), part.size(), part.begin());
  }
}

void process_group::all_reduce_sum(std::span<double> values) { sum_in_rank_order(values); }
void process_group::all_reduce_sum(std::span<float> values) { sum_in_rank_order(values); }

void process_group::all_reduce_sum(const at::Tensor& values) {
  if (size() == 1) return;
  const bool single = values.scalar_type() == at::kFloat;
  require_argument(values.is_contiguous() && (single || values.scalar_type() == at::kDouble),
                   "all_reduce_sum: the tensor must be contiguous and of float or double");
  if (!values.is_cpu() && nccl::is_built()) {
    if (!nccl_) {
      const std::string mine = first() ? nccl::new_unique_id() : std::string();
      nccl_ = std::make_unique<nccl>(all_gather(mine).front(), rank(), size(), values.device());
    }
    nccl_->all_reduce_sum(values);
    return;
  }
  const at::Tensor host = values.cpu();
  const auto count = static_cast<std::size_t>(host.numel());
  if (single) {
    sum_in_rank_order(std::span(host.data_ptr<float>(), count));
  } else {
    sum_in_rank_order(std::span(host.data_ptr<double>(), count));
  }
  if (!values.is_cpu()) values.copy_(host);
}

std::vector<std::string> process_group::all_gather(std::string_view mine) {
  const std::vector<std::uint8_t> bytes(mine.begin(), mine.end());
  std::vector<std::string> out;
  for (const auto& each : coho::all_gather(std::span(bytes), *this)) out.emplace_back(each.begin(), each.end());
  return out;
}

std::vector<double> process_group::all_gather(std::span<const double> mine) {
  coho::detail::rank_message_writer bytes;
  bytes.write_array(mine);
  std::vector<double> out;
  for (const auto& each : coho::all_gather(std::span(bytes.bytes()), *this)) {
    const auto numbers = coho::detail::rank_message_reader(std::span(each)).read_array<std::vector<double>>();
    out.insert(out.end(), numbers.begin(), numbers.end());
  }
  return out;
}

bool process_group::broadcast_from_first(bool mine) {
  double flag = first() && mine ? 1 : 0;
  all_reduce_sum(std::span(&flag, 1));
  return flag > 0;
}

bool process_group::any(bool mine) {
  double flag = mine ? 1 : 0;
  all_reduce_sum(std::span(&flag, 1));
  return flag > 0;
}

}  // namespace coho::trainer
