#include "decoder/prefix_layout.hpp"

#include <coho/error.hpp>

#include "checkpoint/hf_model.hpp"
#include "decoder/attention.hpp"
#include "decoder/prefix_cache.hpp"
#include "roles/host_numbers.hpp"
#include "support/catch.hpp"
#include "support/shared_data.hpp"
#include "support/small_models.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;

namespace {

using tokens_t = std::vector<token>;

tokens_t joined(const tokens_t& a, const tokens_t& b) {
  tokens_t out = a;
  out.insert(out.end(), b.begin(), b.end());
  return out;
}

// Final-norm hidden states of one sequence from position `first` on.
at::Tensor whole(adapter_bank& bank, const tokens_t& tokens, std::size_t first) {
  const std::int64_t length[] = {static_cast<std::int64_t>(tokens.size())};
  const at::Tensor all = bank.hidden("model", token_tensor(tokens), sequence_layout(length)).detach();
  return all.narrow(0, static_cast<std::int64_t>(first), length[0] - static_cast<std::int64_t>(first));
}

struct shared_text {
  tokens_t prefix;
  std::vector<tokens_t> own;
};

shared_text random_text(std::int64_t vocabulary, std::size_t prefix, std::initializer_list<std::size_t> own,
                        std::uint64_t seed) {
  shared_text out{random_tokens(prefix, vocabulary, seed), {}};
  for (const std::size_t length : own) out.own.push_back(random_tokens(length, vocabulary, ++seed * 31));
  return out;
}

prefix_group lengths_of(const shared_text& text, bool prefix_too) {
  prefix_group out;
  out.shared = prefix_too ? static_cast<std::int64_t>(text.prefix.size()) : 0;
  for (const auto& own : text.own) out.own.push_back(static_cast<std::int64_t>(own.size()));
  return out;
}

// The largest difference between what a pass with a prefix of `cached` tokens, and groups behind it, gives for own
// tokens and what the whole sequences give.
double worst_difference(adapter_bank& bank, const tokens_t& cached, const std::vector<shared_text>& groups) {
  std::vector<prefix_group> lengths;
  tokens_t all;
  for (const auto& group : groups) {
    lengths.push_back(lengths_of(group, true));
    all = joined(all, group.prefix);
    for (const auto& own : group.own) all = joined(all, own);
  }
  const prefix_cache prefix = cached.empty() ? prefix_cache() : bank.prefix("model", token_tensor(cached));
  const prefix_layout layout(lengths, at::kCPU, prefix.length());
  const at::Tensor hidden =
      bank.hidden("model", token_tensor(all), layout, cached.empty() ? nullptr : &prefix).to(at::kFloat);
  CHECK_FALSE(hidden.requires_grad());
  double worst = 0;
  std::size_t s = 0;
  for (const auto& group : groups) {
    const tokens_t before = joined(cached, group.prefix);
    for (const auto& own : group.own) {
      const auto [first, count] = layout.own.at(s++);
      const at::Tensor expected = whole(bank, joined(before, own), before.size()).to(at::kFloat);
      worst = std::max(worst, largest_difference(hidden.narrow(0, first, count), expected));
    }
  }
  return worst;
}

std::vector<shared_text> three_groups(std::int64_t vocabulary) {
  return {random_text(vocabulary, 7, {3, 1, 5}, 1), random_text(vocabulary, 0, {6}, 2),
          random_text(vocabulary, 2, {4, 4}, 3)};
}

}  // namespace

TEST_CASE("prefix layout: rows, positions and parts of groups") {
  const prefix_group groups[] = {{.shared = 3, .own = {2, 1}}, {.shared = 0, .own = {2, 3}}};
  const prefix_layout layout(groups);
  CHECK(layout.tokens == 11);
  CHECK(layout.longest == 5);
  const auto positions = to_doubles(layout.positions);
  CHECK(positions == std::vector<double>{0, 1, 2, 3, 4, 3, 0, 1, 0, 1, 2});
  REQUIRE(layout.own.size() == 4);
  CHECK(layout.own[1].first == 5);
  CHECK(layout.own[3].first == 8);
  // The shared tokens; both sequences behind them; the two that share nothing, each by itself.
  REQUIRE(layout.parts.size() == 4);
  CHECK(layout.parts[1].shared.count == 3);
  CHECK(layout.parts[1].lengths == std::vector<std::int64_t>{2, 1});
  CHECK(layout.parts[3].lengths == std::vector<std::int64_t>{3});

  const prefix_layout behind(groups, at::kCPU, 10);
  CHECK(behind.longest == 15);
  CHECK(to_doubles(behind.positions)[0] == 10);
  CHECK(behind.parts.size() == 3);

  const prefix_group empty[] = {{.shared = 3, .own = {}}}, nothing_own[] = {{.shared = 3, .own = {1, 0}}};
  CHECK_THROWS_AS(prefix_layout(empty), argument_error);
  CHECK_THROWS_AS(prefix_layout(nothing_own), argument_error);
}

TEST_CASE("continuation mask: shared keys within the window, own ones causally, others' never") {
  const std::int64_t lengths[] = {2, 3};
  const at::Tensor mask = continuation_mask(3, lengths, 4, at::TensorOptions().dtype(at::kFloat));
  REQUIRE(mask.sizes() == at::IntArrayRef({5, 8}));
  const char* visible[] = {"11110000", "01111000", "11100100", "01100110", "00100111"};
  for (std::int64_t i = 0; i < 5; ++i)
    for (std::int64_t j = 0; j < 8; ++j) {
      INFO("query " << i << ", key " << j);
      CHECK((mask[i][j].item<double>() == 0) == (visible[i][j] == '1'));
    }
}

TEST_CASE("prefix: sequences that continue it are the whole sequences, past a sliding window too") {
  for (const std::int64_t window : {0, 1, 4, 9, 40}) {
    INFO("window " << window);
    adapter_bank bank(small_weights(window));
    bank.add_base("model");
    CHECK(worst_difference(bank, {}, three_groups(23)) < 1e-5);
    CHECK(worst_difference(bank, random_tokens(11, 23, 9), three_groups(23)) < 1e-5);
    CHECK(worst_difference(bank, random_tokens(1, 23, 9), {random_text(23, 0, {3, 8}, 4)}) < 1e-5);
  }
}

TEST_CASE("prefix: own tokens of many sequences are cut into parts that come out alike") {
  adapter_bank bank(small_weights(0));
  bank.add_base("model");
  const auto many = random_text(23, 20, {120, 100, 90, 300, 5}, 6);
  const prefix_group lengths[] = {lengths_of(many, true)};
  CHECK(prefix_layout(lengths).parts.size() == 5);
  CHECK(worst_difference(bank, {}, {many}) < 1e-5);
}

TEST_CASE("prefix: over an adapter, a packed base and in bf16") {
  const tokens_t cached = random_tokens(11, 23, 9);
  SECTION("LoRA") {
    adapter_bank bank(small_weights());
    bank.add_lora("model", {.rank = 3}, rng{1});
    bank.modify("model").adapter.visit(
        [](const std::string&, lora_pair& pair) { pair.b = random_tensor(pair.b.sizes().vec(), 3).mul(0.3); });
    CHECK(worst_difference(bank, cached, three_groups(23)) < 1e-5);
  }
  SECTION("NF4") {
    adapter_bank bank(llama_weights::random(small_config(), rng{7}, 0.3, {.quantize = nf4_options{}}));
    bank.add_base("model");
    CHECK(worst_difference(bank, cached, three_groups(23)) < 1e-5);
  }
  SECTION("bf16") {
    adapter_bank bank(small_weights().to(at::kBFloat16, at::kCPU));
    bank.add_base("model");
    // Hidden states are of size 1 to 3: a few units in their last place.
    CHECK(worst_difference(bank, cached, three_groups(23)) < 0.06);
  }
}

TEST_CASE("prefix: decoding behind it is the full forward") {
  for (const std::int64_t window : {0, 4, 9}) {
    INFO("window " << window);
    adapter_bank bank(small_weights(window));
    bank.add_base("model");
    const tokens_t shared = random_tokens(6, 23, 1);
    const std::vector<tokens_t> own{random_tokens(12, 23, 2), random_tokens(12, 23, 3)};
    const prefix_cache prefix = bank.prefix("model", token_tensor(shared));
    kv_cache cache(bank.config(), 2, 12, at::TensorOptions().dtype(at::kFloat));
    const std::vector<std::int64_t> read{2, 5}, slots{0, 1};
    const prefix_group group{.shared = 0, .own = read};
    const tokens_t begun = joined({own[0].begin(), own[0].begin() + 2}, {own[1].begin(), own[1].begin() + 5});
    bank.hidden("model", token_tensor(begun), prefix_layout({&group, 1}, at::kCPU, prefix.length()), &prefix, &cache,
                slots);
    std::vector<at::Tensor> expected;
    for (const auto& each : own) expected.push_back(whole(bank, joined(shared, each), shared.size()));
    for (std::vector<std::int64_t> at = read; at[1] < 12; ++at[0], ++at[1]) {
      const tokens_t next{own[0][static_cast<std::size_t>(at[0])], own[1][static_cast<std::size_t>(at[1])]};
      const at::Tensor out = bank.decode("model", token_tensor(next), at, cache, &prefix);
      for (const std::int64_t s : {0, 1})
        CHECK(largest_difference(out[s], expected[static_cast<std::size_t>(s)][at[static_cast<std::size_t>(s)]]) <
              1e-5);
    }
  }
}

TEST_CASE("prefix: a layout made for another prefix is refused") {
  adapter_bank bank(small_weights());
  bank.add_base("model");
  const prefix_cache prefix = bank.prefix("model", token_tensor(tokens_t{1, 2, 3}));
  const prefix_group group{.shared = 0, .own = {2}};
  CHECK_THROWS_AS(bank.hidden("model", token_tensor(tokens_t{4, 5}), prefix_layout({&group, 1}, at::kCPU, 2), &prefix),
                  argument_error);
  CHECK_THROWS_AS(bank.hidden("model", token_tensor(tokens_t{4, 5}), prefix_layout({&group, 1}), &prefix),
                  argument_error);
}

TEST_CASE("prefix: checkpoints of other programs, whole and continued") {
  const auto data = shared_data();
  if (!data) {
    WARN("shared data absent: skipped");
    return;
  }
  for (const std::string name : {"tiny_llama", "tiny_mistral"}) {
    INFO(name);
    const temporary_directory folder;
    std::filesystem::copy_file(*data / name / (name + "_config.json"), folder / "config.json");
    std::filesystem::copy_file(*data / name / (name + ".safetensors"), folder / "model.safetensors");
    const auto checkpoint = load_hf_checkpoint(folder.path());
    adapter_bank bank(llama_weights::from_tensors(checkpoint.config, checkpoint.tensors));
    bank.add_base("model");
    const auto vocabulary = bank.config().vocab_size;
    CHECK(worst_difference(bank, random_tokens(7, vocabulary, 5), three_groups(vocabulary)) < 1e-5);
    CHECK(worst_difference(bank, {}, three_groups(vocabulary)) < 1e-5);
  }
}
