#include "checkpoint/base_fingerprint.hpp"

#include <coho/error.hpp>

#include "checkpoint/bitsandbytes.hpp"
#include "checkpoint/hf_names.hpp"
#include "support/catch.hpp"
#include "support/small_models.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using Catch::Matchers::ContainsSubstring;

namespace {

hf_checkpoint fingerprinted_checkpoint() {
  hf_checkpoint out;
  out.config = coho::test::small_config();
  std::uint64_t seed = 0;
  for (const auto& [name, shape] : hf_shapes(out.config)) out.tensors[name] = coho::test::random_tensor(shape, ++seed);
  return out;
}

}  // namespace

TEST_CASE("base_fingerprint: weights have one fingerprint in fp32 and bf16, and another when a value changes") {
  const auto base = fingerprinted_checkpoint();
  const auto of_base = compute_base_fingerprint(base);
  auto half = base;
  for (auto& entry : half.tensors) entry.second = entry.second.to(at::kBFloat16);
  CHECK(compute_base_fingerprint(half) == of_base);
  CHECK(differing_parts(of_base, compute_base_fingerprint(half)).empty());

  const auto changed = [&](const std::string& name) {
    auto other = base;
    other.tensors[name] = base.tensors.at(name).clone();
    other.tensors[name].view({-1})[3] += 1;
    return differing_parts(of_base, compute_base_fingerprint(other));
  };
  CHECK(changed("model.layers.1.mlp.down_proj.weight") == "linears");
  CHECK(changed("model.layers.1.input_layernorm.weight") == "embedding, norms or biases");
  CHECK(changed("model.embed_tokens.weight") == "embedding, norms or biases");
  CHECK(changed("lm_head.weight") == "head");
}

TEST_CASE("base_fingerprint: a classifier of a base agrees with it, and so does its copy in NF4") {
  const auto base = fingerprinted_checkpoint();
  auto classifier = base;
  classifier.tensors.erase("lm_head.weight");
  classifier.tensors["score.weight"] = at::ones({1, 16});
  CHECK(differing_parts(compute_base_fingerprint(base), compute_base_fingerprint(classifier)).empty());

  const auto packed_copy = [](const hf_checkpoint& from) {
    auto out = from;
    for (const auto& [name, tensor] : from.tensors) {
      if (!is_layer_linear(name)) continue;
      for (const auto& [part, value] : nf4_tensors(name, quantize_nf4(tensor))) out.tensors[part] = value;
    }
    return out;
  };
  const auto packed = compute_base_fingerprint(packed_copy(base));
  CHECK(packed.packed);
  CHECK(differing_parts(compute_base_fingerprint(base), packed).empty());
  auto other = base;
  for (auto& [name, tensor] : other.tensors)
    if (name.ends_with("up_proj.weight")) tensor = tensor * 2;
  CHECK(differing_parts(packed, compute_base_fingerprint(packed_copy(other))) == "linears");
}

TEST_CASE("base_fingerprint: a large tensor tells by its stretches and its shape") {
  hf_checkpoint one;
  const at::Tensor large = coho::test::random_tensor({1000, 50}, 3);
  one.tensors["model.embed_tokens.weight"] = large;
  auto other = one;
  other.tensors["model.embed_tokens.weight"] = large * 1.1;
  CHECK(compute_base_fingerprint(one) != compute_base_fingerprint(other));
  other.tensors["model.embed_tokens.weight"] = large.clone();
  CHECK(compute_base_fingerprint(one) == compute_base_fingerprint(other));
  other.tensors["model.embed_tokens.weight"].view({-1})[0] += 1;
  CHECK(compute_base_fingerprint(one) != compute_base_fingerprint(other));
  other.tensors["model.embed_tokens.weight"] = large.reshape({50, 1000});
  CHECK(compute_base_fingerprint(one) != compute_base_fingerprint(other));
}

TEST_CASE("base_fingerprint: the file is written and read back, and a damaged one is named") {
  const coho::test::temporary_directory folder;
  CHECK_FALSE(read_fingerprint(folder.path()));
  const auto fingerprint = compute_base_fingerprint(fingerprinted_checkpoint());
  write_fingerprint(folder.path(), fingerprint, "/models/base");
  const auto stored = read_fingerprint(folder.path());
  REQUIRE(stored);
  CHECK(stored->fingerprint == fingerprint);
  CHECK(stored->base_model == "/models/base");
  coho::test::write_bytes(folder / fingerprint_file, "{\"rest\": 5}");
  CHECK_THROWS_WITH(read_fingerprint(folder.path()),
                    ContainsSubstring("base_fingerprint.json: rest: is missing or not a string"));
}
