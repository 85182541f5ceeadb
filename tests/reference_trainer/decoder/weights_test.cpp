#include "decoder/weights.hpp"

#include <coho/error.hpp>

#include "checkpoint/bitsandbytes.hpp"
#include "checkpoint/hf_model.hpp"
#include "support/catch.hpp"
#include "support/process_memory.hpp"
#include "support/small_models.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

TEST_CASE("weights: packed as they are read, only the decoder's linears change form") {
  const llama_weights plain = small_weights();
  const auto packed =
      llama_weights::from_tensors(plain.config, plain.tensors(), {.quantize = nf4_options{.double_quantize = false}});
  CHECK(packed.is_quantized());
  CHECK_FALSE(plain.is_quantized());
  CHECK(at::equal(packed.embedding, plain.embedding));
  CHECK(at::equal(packed.head, plain.head));
  CHECK(at::equal(packed.norm, plain.norm));
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(at::equal(packed.blocks[i].input_norm, plain.blocks[i].input_norm));
    for (std::size_t kind = 0; kind < linear_kinds; ++kind) {
      const linear_weight &before = plain.blocks[i].linears[kind], &after = packed.blocks[i].linears[kind];
      REQUIRE(after.is_quantized());
      CHECK(after.out_features() == before.out_features());
      CHECK(after.in_features() == before.in_features());
      CHECK(at::equal(after.values(at::kFloat),
                      dequantize(quantize_nf4(before.dense(), {.double_quantize = false}), at::kFloat)));
      // NF4's widest gap is between −1 and −0.696: half of it is the most that a weight moves.
      CHECK(largest_difference(after.values(at::kFloat), before.dense()) <=
            0.1520 * before.dense().abs().max().item<double>());
      CHECK_THROWS_AS(linear_weight(after).dense(), argument_error);
    }
  }
}

TEST_CASE("weights: what a packed model stores is read back as it was, and by no form unpacked") {
  const llama_weights packed = llama_weights::random(small_config(), rng{3}, 0.3, {.quantize = nf4_options{}});
  auto stored = packed.tensors();
  CHECK(stored.contains("model.layers.1.mlp.down_proj.weight.quant_state.bitsandbytes__nf4"));
  CHECK(stored.contains("model.layers.0.self_attn.q_proj.weight.nested_absmax"));
  for (const auto& form : {weight_form{}, weight_form{.quantize = nf4_options{}}}) {
    const auto again = llama_weights::from_tensors(packed.config, stored, form);
    for (std::size_t kind = 0; kind < linear_kinds; ++kind) {
      REQUIRE(again.blocks[1].linears[kind].is_quantized());
      CHECK(at::equal(again.blocks[1].linears[kind].packed().codes, packed.blocks[1].linears[kind].packed().codes));
      CHECK(at::equal(again.blocks[1].linears[kind].values(at::kFloat),
                      packed.blocks[1].linears[kind].values(at::kFloat)));
    }
  }
  stored.erase("model.layers.1.mlp.down_proj.weight.quant_map");
  CHECK_THROWS_AS(llama_weights::from_tensors(packed.config, stored), error);
}

TEST_CASE("weights: copies of packed weights share storage, clones do not") {
  const llama_weights packed = llama_weights::random(small_config(), rng{3}, 0.3, {.quantize = nf4_options{}});
  const llama_weights shared = packed, own = packed.clone();
  const auto codes = [](const llama_weights& weights) {
    return weights.blocks[0].linears[0].packed().codes.data_ptr();
  };
  CHECK(codes(shared) == codes(packed));
  CHECK(codes(own) != codes(packed));
  CHECK(at::equal(own.blocks[0].linears[0].values(at::kFloat), packed.blocks[0].linears[0].values(at::kFloat)));
  // Another compute type leaves the codes alone.
  const llama_weights half = packed.to(at::kBFloat16, at::kCPU);
  CHECK(half.embedding.scalar_type() == at::kBFloat16);
  CHECK(half.blocks[0].linears[0].packed().codes.scalar_type() == at::kByte);
}

TEST_CASE("weights: random ones depend on the seed and the name alone") {
  const llama_weights a = llama_weights::random(small_config(), rng{3}),
                      b = llama_weights::random(small_config(), rng{3});
  const llama_weights c = llama_weights::random(small_config(), rng{4});
  CHECK(at::equal(a.embedding, b.embedding));
  CHECK_FALSE(at::equal(a.embedding, c.embedding));
  CHECK_FALSE(at::equal(a.blocks[0].linears[0].dense(), a.blocks[1].linears[0].dense()));
  const auto& embedding = a.embedding;
  CHECK(embedding.mean().item<double>() == Approx(0).margin(0.005));
  CHECK(embedding.square().mean().sqrt().item<double>() == Approx(0.02).epsilon(0.15));
  // Element i takes the i-th block of the counter, whichever thread makes it.
  rng stream = rng{3}.split(stream_key("model.embed_tokens.weight"));
  for (std::int64_t i = 0; i < 5; ++i)
    CHECK(embedding.view({-1})[i].item<float>() == static_cast<float>(0.02 * stream.normal()));
}

TEST_CASE("weights: missing and misshapen tensors are named") {
  const llama_weights plain = small_weights();
  auto tensors = plain.tensors();
  tensors.erase("model.layers.1.self_attn.k_proj.weight");
  CHECK_THROWS_WITH(llama_weights::from_tensors(plain.config, tensors),
                    Catch::Matchers::Contains("model.layers.1.self_attn.k_proj.weight"));
  tensors = plain.tensors();
  tensors["model.norm.weight"] = at::ones({15});
  CHECK_THROWS_WITH(llama_weights::from_tensors(plain.config, tensors),
                    Catch::Matchers::Contains("model.norm.weight has shape [15]"));
}

#ifdef __GLIBC__
TEST_CASE("weights: a checkpoint that is packed as it is read never lies in memory as a whole") {
  const temporary_directory folder;
  llama_config config = small_config();
  config.hidden_size = 512;
  config.intermediate_size = 2048;
  config.num_attention_heads = 8;
  config.num_key_value_heads = 8;
  config.head_dim = 64;
  config.num_hidden_layers = 16;
  double whole = 0, largest = 0, packed = 0;
  {
    const auto tensors = llama_weights::random(config, rng{1}, 0.02, {.type = at::kBFloat16}).tensors();
    for (const auto& [name, tensor] : tensors) {
      whole += static_cast<double>(tensor.nbytes());
      largest = std::max(largest, static_cast<double>(tensor.nbytes()));
    }
    save_hf_checkpoint(folder / "model", config, tensors);
  }
  const memory_peak memory;
  auto checkpoint = load_hf_checkpoint(folder / "model");
  const auto weights = llama_weights::from_tensors(checkpoint.config, std::move(checkpoint.tensors),
                                                   {.type = at::kBFloat16, .quantize = nf4_options{}});
  const double peak = memory.bytes();
  for (const auto& [name, tensor] : weights.tensors()) packed += static_cast<double>(tensor.nbytes());
  if (!memory.known()) return;
  CAPTURE(peak, packed, whole, largest);
  CHECK(packed < 0.3 * whole);
  CHECK(peak > 0.5 * packed);
  // 4 MB for what the allocator and the page tables round up.
  CHECK(peak <= packed + 2 * largest + 4e6);
}
#endif
