// coho's side of bench/peers/compare: reads the arrays that the script wrote (raw float32) from a folder, computes the
// same results as TRL, writes them there, and prints a line "name seconds" with the fastest run of each.
//
//     coho_peers FOLDER [threads]
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <Eigen/Core>

#include <coho/advantage/gae.hpp>
#include <coho/advantage/whiten.hpp>
#include <coho/loss/dpo.hpp>
#include <coho/loss/ppo_clip.hpp>
#include <coho/loss/value_clip.hpp>
#include <coho/reduce.hpp>
#include <coho/torch/fused_log_probs.hpp>
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace {

constexpr std::int64_t sequences = 512, length = 1024, tokens = 2048, vocabulary = 32000, hidden_size = 512;

class folder {
 public:
  explicit folder(std::string path) : path_(std::move(path)) {}

  Eigen::ArrayXf read(const std::string& name) const {
    std::ifstream file(path_ + "/" + name + ".f32", std::ios::binary | std::ios::ate);
    if (!file) throw std::runtime_error("cannot read " + path_ + "/" + name + ".f32");
    Eigen::ArrayXf out(static_cast<Eigen::Index>(static_cast<std::size_t>(file.tellg()) / sizeof(float)));
    file.seekg(0);
    file.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(sizeof(float)) * out.size());
    return out;
  }
  void write(const std::string& name, const Eigen::ArrayXf& x) const {
    std::ofstream file(path_ + "/" + name + ".f32", std::ios::binary);
    file.write(reinterpret_cast<const char*>(x.data()), static_cast<std::streamsize>(sizeof(float)) * x.size());
    if (!file) throw std::runtime_error("cannot write " + path_ + "/" + name + ".f32");
  }

 private:
  std::string path_;
};

// Runs the work `rounds` times, prints the fastest time, and returns the last result.
template <class Work>
auto timed(const char* name, int rounds, const Work& work) {
  double best = 1e9;
  auto result = work();
  for (int i = 0; i < rounds; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    result = work();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  std::printf("%s %.9f\n", name, best);
  return result;
}

Eigen::ArrayXf number(double x) { return Eigen::ArrayXf::Constant(1, static_cast<float>(x)); }

void run(const folder& files) {
  const auto rewards = files.read("rewards"), values = files.read("values"), mask = files.read("mask");
  const auto log_probs = files.read("log_probs"), old_log_probs = files.read("old_log_probs");
  const auto old_values = files.read("old_values"), reference = files.read("reference"), other = files.read("other");
  std::vector<std::size_t> offsets;
  for (std::int64_t i = 0; i <= sequences; ++i) offsets.push_back(static_cast<std::size_t>(i * length));

  const auto gae = timed("gae", 30, [&] {
    return coho::gae(coho::advantage_inputs<float>{.rewards = rewards, .values = values, .offsets = offsets},
                     {.gamma = 0.99, .lambda = 0.95});
  });
  files.write("coho.advantages", gae.advantages);
  files.write("coho.returns", gae.returns);

  const auto whitened =
      timed("whiten", 30, [&] { return coho::whiten(gae.advantages, mask, {.deviation = coho::deviation::bessel}); });
  files.write("coho.whitened", whitened);

  const auto weights = coho::make_token_weights(mask, offsets);
  const auto policy = timed("ppo_policy_loss", 30, [&] {
    return coho::ppo_clip_loss{}.value_and_grad(coho::policy_loss_inputs<float>{
        .log_probs = log_probs, .old_log_probs = old_log_probs, .advantages = gae.advantages, .weights = weights});
  });
  files.write("coho.policy_loss", number(policy.value));
  files.write("coho.d_log_probs", policy.d_log_probs);
  const auto value = timed("ppo_value_loss", 30, [&] {
    return coho::value_clip_loss{}.value_and_grad(coho::value_loss_inputs<float>{
        .values = values, .old_values = old_values, .returns = gae.returns, .weights = weights});
  });
  files.write("coho.value_loss", number(value.value));
  files.write("coho.d_values", value.d_values);

  const auto dpo = timed("dpo_loss", 30, [&] {
    return coho::dpo_loss{}.value_and_grad(coho::preference_loss_inputs<float>{
        .chosen = log_probs, .rejected = other, .reference_chosen = old_log_probs, .reference_rejected = reference});
  });
  files.write("coho.dpo_loss", number(dpo.value));
  files.write("coho.d_chosen", dpo.d_chosen);

  const at::NoGradGuard no_gradient;
  auto hidden = files.read("hidden"), head = files.read("head"), ids = files.read("targets");
  const at::Tensor h = at::from_blob(hidden.data(), {tokens, hidden_size});
  const at::Tensor w = at::from_blob(head.data(), {vocabulary, hidden_size});
  const at::Tensor targets = at::from_blob(ids.data(), {tokens}).to(at::kLong);
  const at::Tensor selected =
      timed("selective_log_softmax", 3, [&] { return coho::fused_log_probs(h, w, targets).log_probs; }).contiguous();
  files.write("coho.selected", Eigen::Map<const Eigen::ArrayXf>(selected.data_ptr<float>(), selected.numel()));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: coho_peers FOLDER [threads]\n");
    return 2;
  }
#ifdef __GLIBC__
  // As in the benchmarks: results of several megabytes stay in the process.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
  try {
    if (argc > 2) at::set_num_threads(std::stoi(argv[2]));
    run(folder(argv[1]));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "coho_peers: %s\n", error.what());
    return 1;
  }
  return 0;
}
