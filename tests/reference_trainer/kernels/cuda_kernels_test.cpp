// Each CUDA kernel beside its CPU twin on random data of odd sizes: on a GPU where there is one, and always by the
// host's emulation of CUDA, which also tests these comparisons.

#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include <coho/torch/log_prob_block.hpp>

#include "kernels/cpu/nf4_kernels.hpp"
#include "kernels/cuda/launchers.hpp"
#include "support/catch.hpp"
#include "support/nf4_bytes.hpp"

// Defined by the tests in kernels/cuda.
extern "C" decltype(coho_cuda_nf4_dequantize) emulated_nf4_dequantize;
extern "C" decltype(coho_cuda_nf4_matvec) emulated_nf4_matvec;
extern "C" decltype(coho_cuda_log_prob_forward) emulated_log_prob_forward;
extern "C" decltype(coho_cuda_log_prob_backward) emulated_log_prob_backward;

namespace cpu = coho::trainer::cpu;
using coho::test::nf4_bytes;

namespace {

struct machine {
  at::Device device;
  bool large;  // sizes for a GPU
  decltype(&coho_cuda_nf4_dequantize) dequantize;
  decltype(&coho_cuda_nf4_matvec) matvec;
  decltype(&coho_cuda_log_prob_forward) forward;
  decltype(&coho_cuda_log_prob_backward) backward;
};

// The emulation, and a GPU if there is one and the kernels are built; says so if not.
std::vector<machine> machines() {
  std::vector<machine> all = {{at::Device(at::kCPU), false, emulated_nf4_dequantize, emulated_nf4_matvec,
                               emulated_log_prob_forward, emulated_log_prob_backward}};
#ifdef COHO_HAVE_CUDA_KERNELS
  if (at::hasCUDA()) {
    all.push_back({at::Device(at::kCUDA, 0), true, coho_cuda_nf4_dequantize, coho_cuda_nf4_matvec,
                   coho_cuda_log_prob_forward, coho_cuda_log_prob_backward});
  } else {
    WARN("no CUDA device: on a GPU skipped, by emulation only");
  }
#else
  WARN("built without the CUDA kernels: on a GPU skipped, by emulation only");
#endif
  return all;
}

template <typename T>
at::Tensor tensor(const std::vector<T>& numbers, at::ScalarType type, const at::Device& device) {
  const at::Tensor out = at::empty({static_cast<std::int64_t>(numbers.size())}, at::TensorOptions(type));
  std::memcpy(out.data_ptr(), numbers.data(), numbers.size() * sizeof(T));
  return out.to(device);
}

// A weight on a device, and what its scales are on the CPU.
struct weight_on {
  at::Tensor codes, absmax, map, nested_absmax;
  std::vector<float> scales;
  coho_cuda_nf4 view;

  weight_on(const nf4_bytes& w, const at::Device& device)
      : codes(tensor(w.codes, at::kByte, device)),
        absmax(w.nested ? tensor(w.absmax_indices, at::kByte, device) : tensor(w.absmax, at::kFloat, device)),
        map(tensor(w.nested_map, at::kFloat, device)),
        nested_absmax(tensor(w.nested_absmax, at::kFloat, device)),
        scales(w.absmax),
        view{codes.data_ptr<std::uint8_t>(),
             absmax.data_ptr(),
             w.nested ? map.data_ptr<float>() : nullptr,
             w.nested ? nested_absmax.data_ptr<float>() : nullptr,
             w.nested_offset,
             w.n,
             w.block_size,
             w.nested_block_size} {
    if (!w.nested) return;
    scales.resize(w.absmax_indices.size());
    cpu::decode_nested_absmax(w.absmax_indices.data(), w.nested_absmax.data(), w.nested_map.data(), w.nested_offset,
                              w.nested_block_size, 0, static_cast<std::int64_t>(scales.size()), scales.data());
  }
};

at::Tensor on_cpu(const at::Tensor& x) { return x.to(at::kCPU).to(at::kFloat); }

// Both of the same type and shape; the largest difference, in units of the largest number of `expected`.
double distance(const at::Tensor& x, const at::Tensor& expected) {
  return ((on_cpu(x) - expected).abs().max() / (expected.abs().max() + 1e-30)).item<double>();
}

}  // namespace

TEST_CASE("NF4 dequantisation in CUDA has the CPU kernel's bits in fp32 and bf16") {
  for (const auto& m : machines()) {
    for (const std::int64_t n :
         {std::int64_t{1}, std::int64_t{77}, m.large ? std::int64_t{10000019} : std::int64_t{10007}}) {
      for (const std::int64_t block : {32, 64, 256}) {
        for (const bool nested : {false, true}) {
          INFO(m.device.str() << ", n " << n << ", block " << block << ", nested " << nested);
          const nf4_bytes bytes(n, block, nested, static_cast<unsigned>(n + block));
          const weight_on weight(bytes, m.device);
          for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
            const at::Tensor expected = at::empty({n}, at::TensorOptions(type));
            const auto& kernels = cpu::best_nf4_kernels();
            if (type == at::kFloat)
              kernels.dequantize(bytes.codes.data(), weight.scales.data(), n, block, expected.data_ptr<float>());
            else
              kernels.dequantize_bf16(bytes.codes.data(), weight.scales.data(), n, block,
                                      static_cast<std::uint16_t*>(expected.data_ptr()));
            for (const std::int64_t skip : {0, 1}) {
              const at::Tensor buffer = at::full({n + skip + 8}, 77, at::TensorOptions(type).device(m.device));
              const at::Tensor out = buffer.narrow(0, skip, n);
              const int code = type == at::kFloat ? coho_cuda_float32 : coho_cuda_bfloat16;
              REQUIRE(m.dequantize(&weight.view, out.data_ptr(), code, nullptr) == 0);
              CHECK(at::equal(out.to(at::kCPU), expected));
              CHECK(buffer.narrow(0, n + skip, 8).eq(77).all().item<bool>());
            }
          }
        }
      }
    }
  }
}

TEST_CASE("The NF4 matrix-vector product in CUDA agrees with the CPU kernel and repeats its own bits") {
  struct shape {
    std::int64_t in, rows;
  };
  for (const auto& m : machines()) {
    std::vector<shape> shapes = {{1, 1}, {33, 7}, {64, 3}, {200, 5}, {1032, 6}};
    if (m.large) shapes.insert(shapes.end(), {{4096, 4096}, {11008, 1027}, {4095, 513}, {28672, 65}});
    for (const auto& [in, rows] : shapes) {
      for (std::int64_t batch = 1; batch <= 8; ++batch) {
        const nf4_bytes bytes(in * rows, 64, batch % 2 == 0, static_cast<unsigned>(in + batch));
        const weight_on weight(bytes, m.device);
        for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
          INFO(m.device.str() << ", in " << in << ", rows " << rows << ", batch " << batch << ", " << type);
          const at::Tensor x = at::randn({batch, in}).to(type), numbers = x.to(at::kFloat).contiguous();
          const at::Tensor expected = at::empty({batch, rows});
          cpu::best_nf4_kernels().matvec({.x = numbers.data_ptr<float>(),
                                          .rows = batch,
                                          .in = in,
                                          .codes = bytes.codes.data(),
                                          .absmax = weight.scales.data(),
                                          .block_size = 64,
                                          .first = 0,
                                          .last = rows,
                                          .y = expected.data_ptr<float>(),
                                          .y_stride = rows});
          const at::Tensor there = x.to(m.device);
          const auto run = [&] {
            const at::Tensor y = at::empty({batch, rows}, there.options());
            const int code = type == at::kFloat ? coho_cuda_float32 : coho_cuda_bfloat16;
            REQUIRE(m.matvec(&weight.view, there.data_ptr(), batch, in, rows, y.data_ptr(), code, nullptr) == 0);
            return y;
          };
          const at::Tensor y = run();
          CHECK(distance(y, expected) <= (type == at::kFloat ? 1e-5 : 4.1e-3));
          CHECK(at::equal(y, run()));
        }
      }
    }
  }
}

TEST_CASE("The log-prob block in CUDA agrees with the CPU kernel forward and backward") {
  for (const auto& m : machines()) {
    const std::int64_t rows = m.large ? 513 : 3, vocabulary = m.large ? 32003 : 700, step = m.large ? 8192 : 256;
    for (const std::int64_t columns_a_block : {step, step - 1}) {
      for (const bool biased : {true, false}) {
        INFO(m.device.str() << ", columns a block " << columns_a_block << ", biased " << biased);
        const at::Tensor logits = at::randn({rows, vocabulary}) * 4, bias = at::randn({vocabulary});
        const at::Tensor targets = at::randint(vocabulary, {rows}, at::TensorOptions(at::kLong));
        const at::Tensor d_log_prob = at::randn({rows}), d_entropy = at::randn({rows});
        const auto state = [&] {
          std::vector<at::Tensor> all(5, at::zeros({rows}));
          for (auto& s : all) s = s.clone();
          all[0].fill_(-std::numeric_limits<double>::infinity());
          return all;
        };
        std::vector<at::Tensor> here = state(), there = state();
        for (auto& s : there) s = s.to(m.device);
        const at::Tensor targets_there = targets.to(m.device);
        const at::Tensor g_there = d_log_prob.to(m.device), h_there = d_entropy.to(m.device);
        const auto number = [](const at::Tensor& x) { return x.data_ptr<float>(); };
        for (std::int64_t first = 0; first < vocabulary; first += columns_a_block) {
          const std::int64_t columns = std::min(columns_a_block, vocabulary - first);
          const at::Tensor block = logits.narrow(1, first, columns).contiguous(),
                           own_bias = bias.narrow(0, first, columns).clone();
          const at::Tensor e = block.clone(), e_there = block.to(m.device).clone(), bias_block = own_bias.to(m.device);
          const at::Tensor products = at::zeros_like(e), products_there = at::zeros_like(e_there);
          const auto block_of = [&](const at::Tensor& of) {
            return coho::logit_block<float>{.logits = number(of),
                                            .stride = columns,
                                            .rows = rows,
                                            .columns = columns,
                                            .bias = biased ? number(own_bias) : nullptr,
                                            .inverse_temperature = 0.9f,
                                            .targets = targets.data_ptr<std::int64_t>(),
                                            .first_column = first};
          };
          coho::detail::log_prob_block_forward_cpu<float>(block_of(e), {.maximum = number(here[0]),
                                                                        .sum = number(here[1]),
                                                                        .weighted_sum = number(here[2]),
                                                                        .chosen = number(here[3]),
                                                                        .rescale = number(here[4]),
                                                                        .entropy_block = number(products)});
          const auto cuda_block = [&](const at::Tensor& of) {
            return coho_cuda_logit_block{.logits = number(of),
                                         .stride = columns,
                                         .rows = rows,
                                         .columns = columns,
                                         .bias = biased ? number(bias_block) : nullptr,
                                         .inverse_temperature = 0.9f,
                                         .targets = targets_there.data_ptr<std::int64_t>(),
                                         .first_column = first};
          };
          const coho_cuda_logit_block logits_there = cuda_block(e_there);
          const coho_cuda_softmax_sums sums_there{.maximum = number(there[0]),
                                                  .sum = number(there[1]),
                                                  .weighted_sum = number(there[2]),
                                                  .chosen = number(there[3]),
                                                  .rescale = number(there[4]),
                                                  .entropy_block = number(products_there)};
          REQUIRE(m.forward(&logits_there, &sums_there, nullptr) == 0);
          CHECK(distance(e_there, e) <= 1e-5);
          CHECK(distance(products_there, products) <= 1e-5);
          for (std::size_t i = 0; i < 5; ++i) CHECK(distance(there[i], here[i]) <= 1e-5);

          // Any log-sum-exp and entropy serve to compare the gradients.
          const at::Tensor all = here[1].log() + here[0], entropy = at::rand({rows});
          const at::Tensor all_there = all.to(m.device), entropy_there = entropy.to(m.device);
          const at::Tensor gradient = block.clone(), gradient_there = block.to(m.device).clone();
          coho::detail::log_prob_block_backward_cpu<float>(block_of(gradient), {.log_sum_exp = number(all),
                                                                                .entropy = number(entropy),
                                                                                .d_log_prob = number(d_log_prob),
                                                                                .d_entropy = number(d_entropy)});
          const coho_cuda_logit_block slopes_there = cuda_block(gradient_there);
          const coho_cuda_log_prob_gradient upstream_there{.log_sum_exp = number(all_there),
                                                           .entropy = number(entropy_there),
                                                           .d_log_prob = number(g_there),
                                                           .d_entropy = number(h_there)};
          REQUIRE(m.backward(&slopes_there, &upstream_there, nullptr) == 0);
          CHECK(distance(gradient_there, gradient) <= 1e-5);
        }
      }
    }
  }
}
