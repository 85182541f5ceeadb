#include "distributed/nccl.hpp"

#include <coho/error.hpp>

#ifdef COHO_HAVE_NCCL
#include <algorithm>
#include <cstring>

#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <nccl.h>
#endif

namespace coho::trainer {

#ifdef COHO_HAVE_NCCL

namespace {

// Throws with NCCL's own message; `what` names the call that failed.
void check_nccl_status(ncclResult_t result, const char* what) {
  if (result != ncclSuccess) throw error(std::string("NCCL: ") + what + ": " + ncclGetErrorString(result));
}

}  // namespace

struct nccl::state {
  ncclComm_t communicator = nullptr;
  at::Device device;
};

bool nccl::is_built() noexcept { return true; }

std::string nccl::new_unique_id() {
  ncclUniqueId id;
  check_nccl_status(ncclGetUniqueId(&id), "the job gets no unique id");
  return {id.internal, sizeof(id.internal)};
}

nccl::nccl(const std::string& id, std::size_t rank, std::size_t size, at::Device device)
    : state_(std::make_unique<state>(state{.device = device})) {
  ncclUniqueId given;
  require_argument(id.size() == sizeof(given.internal), "NCCL: the job's unique id did not arrive from the first rank");
  std::memcpy(given.internal, id.data(), id.size());
  const c10::cuda::CUDAGuard guard(device);
  check_nccl_status(ncclCommInitRank(&state_->communicator, static_cast<int>(size), given, static_cast<int>(rank)),
                    "the ranks' GPUs cannot reach each other");
}

nccl::~nccl() {
  if (state_ && state_->communicator != nullptr) ncclCommDestroy(state_->communicator);
}

void nccl::all_reduce_sum(const at::Tensor& values) {
  const c10::cuda::CUDAGuard guard(state_->device);
  const auto stream = c10::cuda::getCurrentCUDAStream(state_->device.index()).stream();
  const at::Tensor flat = values.view(-1);
  constexpr std::int64_t piece = std::int64_t{1} << 24;  // elements: the doubles of one piece take 128 MiB
  for (std::int64_t begin = 0; begin < flat.numel(); begin += piece) {
    const at::Tensor part = flat.narrow(0, begin, std::min(piece, flat.numel() - begin));
    const at::Tensor sum = part.to(at::kDouble);  // the part itself if it is double
    check_nccl_status(ncclAllReduce(sum.const_data_ptr(), sum.mutable_data_ptr(), static_cast<std::size_t>(sum.numel()),
                                    ncclDouble, ncclSum, state_->communicator, stream),
                      "the sum over the ranks");
    if (part.scalar_type() != at::kDouble) part.copy_(sum);
  }
}

#else

struct nccl::state {};
bool nccl::is_built() noexcept { return false; }
std::string nccl::new_unique_id() { throw error("this program was built without NCCL"); }
nccl::nccl(const std::string&, std::size_t, std::size_t, at::Device) {
  throw error("this program was built without NCCL");
}
nccl::~nccl() = default;
void nccl::all_reduce_sum(const at::Tensor&) { throw error("this program was built without NCCL"); }

#endif

}  // namespace coho::trainer
