#include "generation/engine.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <coho/error.hpp>
#include <coho/rollout/token_sampling.hpp>

#include "decoder/tensor_conversion.hpp"
#include "generation/stop_matcher.hpp"

namespace coho::trainer {
namespace {

// A sequence that is being decoded.
struct slot {
  std::size_t sequence;
  std::int64_t length;  ///< positions in the cache, which begin after the shared prefix
  token last;
  stop_matcher stops;
};

// What an engine holds, and the arguments of one call.
struct engine_parts {
  adapter_bank& bank;
  const std::string& role;
  const engine_options& limits;
  const std::vector<std::string>& texts;
  const prefix_cache& prefix;
};
struct generation_request {
  const packed<token>& prompts;
  const generation_options& options;
  std::span<const token> ends;
  std::span<rng> streams;
  const std::function<void(std::size_t, token)>& on_token;
};

// One call of `generate`: slots are filled with prompts and freed as their sequences end, until none is left.
class generation_run {
 public:
  generation_run(const engine_parts& engine, const generation_request& request)
      : bank_(engine.bank),
        role_(engine.role),
        limits_(engine.limits),
        texts_(engine.texts),
        prompts_(request.prompts),
        options_(request.options),
        ends_(request.ends),
        streams_(request.streams),
        on_token_(request.on_token),
        prefix_(engine.prefix.length() > 0 ? &engine.prefix : nullptr),
        skipped_(static_cast<std::size_t>(engine.prefix.length())),
        sampler_({.temperature = options_.temperature,
                  .top_k = options_.top_k,
                  .top_p = options_.top_p,
                  .banned = options_.banned}),
        slots_(std::min<std::int64_t>(limits_.slots, static_cast<std::int64_t>(prompts_.size()))),
        cache_(bank_.config(), slots_, capacity(), bank_.head(role_).options().requires_grad(false)),
        responses_(prompts_.size()),
        log_probs_(prompts_.size()),
        finished_(prompts_.size(), 0) {}

  // Alternates prefill and decoding until every prompt has its response.
  generation operator()() {
    while (true) {
      const auto active = static_cast<std::int64_t>(active_.size());
      // Prefill costs more per token than decoding, so free slots are filled several at a time.
      if (next_ < prompts_.size() && (active == 0 || active <= slots_ - std::max<std::int64_t>(1, slots_ / 4))) {
        prefill();
        continue;
      }
      if (active == 0) break;
      decode();
    }
    generation out;
    for (std::size_t i = 0; i < prompts_.size(); ++i) {
      out.responses.push_back(responses_[i]);
      out.log_probs.push_back(log_probs_[i]);
    }
    out.finished = std::move(finished_);
    return out;
  }

 private:
  // Positions per slot: the longest prompt and a response to it.
  std::int64_t capacity() const {
    std::size_t longest = 0;
    for (std::size_t i = 0; i < prompts_.size(); ++i) longest = std::max(longest, prompts_.length(i));
    return static_cast<std::int64_t>(longest - skipped_ + options_.max_new_tokens);
  }

  // Hidden states [N, H] of prompts, which go into the cache, without the cached prefix.
  at::Tensor prefill_hidden_states(const std::vector<token>& tokens, const std::vector<std::int64_t>& lengths,
                                   const std::vector<std::int64_t>& places) {
    const at::Tensor ids = token_tensor(tokens, bank_.device());
    if (prefix_ == nullptr) return bank_.hidden(role_, ids, sequence_layout(lengths, bank_.device()), &cache_, places);
    const prefix_group group{.shared = 0, .own = lengths};
    const prefix_layout layout({&group, 1}, bank_.device(), prefix_->length());
    return bank_.hidden(role_, ids, layout, prefix_, &cache_, places);
  }

  // Reads as many waiting prompts as fit in the free slots and the token limit, at least one, and samples their first
  // tokens.
  void prefill() {
    std::vector<std::int64_t> lengths, places;
    std::vector<std::pair<std::int64_t, std::int64_t>> copies;  // of slots
    std::vector<token> tokens, last;
    const std::size_t first = active_.size();
    while (next_ < prompts_.size() && static_cast<std::int64_t>(active_.size()) < slots_) {
      const auto prompt = prompts_[next_].subspan(skipped_);
      const auto place = static_cast<std::int64_t>(active_.size());
      // Several samples of one prompt are adjacent: it is read once.
      if (!lengths.empty() && std::ranges::equal(prompts_[next_], prompts_[next_ - 1])) {
        copies.emplace_back(places.back(), place);
      } else {
        if (!lengths.empty() && static_cast<std::int64_t>(tokens.size() + prompt.size()) > limits_.prefill_tokens)
          break;
        places.push_back(place);
        lengths.push_back(static_cast<std::int64_t>(prompt.size()));
        tokens.insert(tokens.end(), prompt.begin(), prompt.end());
      }
      last.push_back(static_cast<token>(tokens.size()) - 1);
      active_.push_back({next_++, lengths.back(), 0, stop_matcher(options_.stop, options_.unfinished_stop)});
    }
    const at::Tensor hidden = prefill_hidden_states(tokens, lengths, places);
    for (const auto& [from, to] : copies) cache_.copy(from, to, active_[static_cast<std::size_t>(to)].length);
    sample(hidden.index_select(0, token_tensor(last, bank_.device())), first);
  }

  // One more token for every active slot.
  void decode() {
    std::vector<token> tokens;
    std::vector<std::int64_t> positions;
    for (auto& slot : active_) {
      tokens.push_back(slot.last);
      positions.push_back(slot.length++);
    }
    sample(bank_.decode(role_, token_tensor(tokens, bank_.device()), positions, cache_, prefix_), 0);
  }

  // fp32 [rows, V]. On the CPU bf16 and fp16 are multiplied in fp32, part by part of the head, as in fused_log_probs,
  // so that the log-probabilities of sampler and scorer are identical.
  at::Tensor compute_logits(const at::Tensor& hidden) const {
    const at::Tensor& head = bank_.head(role_);
    if (!hidden.is_cpu() || head.scalar_type() == at::kFloat) return at::matmul(hidden, head.t()).to(at::kFloat);
    constexpr std::int64_t words = 4096;  // rows of the head at a time, which bounds its fp32 copy
    const at::Tensor wide = hidden.to(at::kFloat), out = at::empty({hidden.size(0), head.size(0)}, wide.options());
    for (std::int64_t first = 0; first < head.size(0); first += words) {
      const std::int64_t n = std::min(words, head.size(0) - first);
      out.narrow(1, first, n).copy_(at::matmul(wide, head.narrow(0, first, n).to(at::kFloat).t()));
    }
    return out;
  }

  // Samples one token for each slot from `first` on (hidden has one row per slot) and frees the slots that end.
  void sample(const at::Tensor& hidden, std::size_t first) {
    const at::Tensor logits = compute_logits(hidden).to(at::kCPU).contiguous();
    const auto vocabulary = static_cast<std::size_t>(logits.size(1));
    const float* data = logits.data_ptr<float>();
    std::vector<sampled_token> sampled(active_.size() - first);
    at::parallel_for(0, static_cast<std::int64_t>(sampled.size()), 8, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
        sampled[i] = sampler_({data + i * vocabulary, vocabulary}, streams_[active_[first + i].sequence]);
    });
    std::vector<std::size_t> ended;
    for (std::size_t i = 0; i < sampled.size(); ++i) {
      slot& slot = active_[first + i];
      const token id = sampled[i].id;
      slot.last = id;
      responses_[slot.sequence].push_back(id);
      log_probs_[slot.sequence].push_back(static_cast<float>(sampled[i].log_prob));
      if (on_token_) on_token_(slot.sequence, id);
      bool done = std::find(ends_.begin(), ends_.end(), id) != ends_.end(),
           finished = done && !slot.stops.is_undecided();
      if (!done && !(options_.stop.empty() && options_.unfinished_stop.empty())) {
        const text_end end = slot.stops.append(texts_[static_cast<std::size_t>(id)]);
        done = end != text_end::open;
        finished = end == text_end::finished;
      }
      finished_[slot.sequence] = finished;
      if (done || responses_[slot.sequence].size() >= options_.max_new_tokens) ended.push_back(first + i);
    }
    for (auto place = ended.rbegin(); place != ended.rend(); ++place) {
      const std::size_t last = active_.size() - 1;
      if (*place != last) {
        cache_.copy(static_cast<std::int64_t>(last), static_cast<std::int64_t>(*place), active_[last].length);
        active_[*place] = active_[last];
      }
      active_.pop_back();
    }
  }

  adapter_bank& bank_;
  const std::string& role_;
  const engine_options& limits_;
  const std::vector<std::string>& texts_;
  const packed<token>& prompts_;
  const generation_options& options_;
  std::span<const token> ends_;
  std::span<rng> streams_;
  const std::function<void(std::size_t, token)>& on_token_;
  const prefix_cache* prefix_;
  std::size_t skipped_;  ///< of each prompt's tokens, because they are in the prefix
  token_sampler sampler_;
  std::int64_t slots_;
  kv_cache cache_;
  std::size_t next_ = 0;
  std::vector<slot> active_;
  std::vector<std::vector<token>> responses_;
  std::vector<std::vector<float>> log_probs_;
  std::vector<std::uint8_t> finished_;
};

}  // namespace

generation_engine::generation_engine(adapter_bank& bank, std::string role, const engine_options& options,
                                     std::vector<std::string> token_texts, std::vector<token> shared_prefix)
    : bank_(&bank),
      role_(std::move(role)),
      options_(options),
      token_texts_(std::move(token_texts)),
      shared_prefix_(std::move(shared_prefix)) {
  require_option(options.slots > 0, "generation.slots", options.slots, "at least 1");
  require_option(options.prefill_tokens > 0, "generation.prefill_tokens", options.prefill_tokens, "at least 1");
  for (const token id : shared_prefix_)
    require_argument(id >= 0 && id < bank_->config().vocab_size,
                     "shared_prefix: token " + std::to_string(id) + " is outside the vocabulary");
}

void generation_engine::compute_prefix() {
  if (shared_prefix_.size() < 2) return;
  const auto revision = bank_->revision(role_);
  if (prefix_.length() > 0 && revision && revision == prefix_revision_) return;
  const std::span<const token> cached(shared_prefix_.data(), shared_prefix_.size() - 1);
  prefix_ = {};
  prefix_ = bank_->prefix(role_, token_tensor(cached, bank_->device()));
  prefix_revision_ = revision;
}

generation generation_engine::generate(const packed<token>& prompts, const generation_options& options,
                                       std::span<const token> end_tokens, std::span<rng> streams,
                                       const std::function<void(std::size_t, token)>& on_token) {
  require_option(options.max_new_tokens > 0, "generation.max_new_tokens", options.max_new_tokens, "at least 1");
  require_argument(streams.size() == prompts.size(), "generate: one rng per prompt is needed");
  require_argument((options.stop.empty() && options.unfinished_stop.empty()) || !token_texts_.empty(),
                   "generate: stop strings need a tokenizer");
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    require_argument(prompts.length(i) > 0,
                     "generate: prompt " + std::to_string(i) + " is empty (give at least a begin token)");
    for (const token id : prompts[i])
      require_argument(id >= 0 && id < bank_->config().vocab_size,
                       "generate: token " + std::to_string(id) + " is outside the vocabulary");
    require_argument(prompts.length(i) >= shared_prefix_.size() &&
                         std::ranges::equal(prompts[i].first(shared_prefix_.size()), shared_prefix_),
                     "generate: prompt " + std::to_string(i) + " does not begin with the shared prefix");
  }
  if (prompts.empty()) return {};
  const at::NoGradGuard no_gradient;
  compute_prefix();
  return generation_run(
      {.bank = *bank_, .role = role_, .limits = options_, .texts = token_texts_, .prefix = prefix_},
      {.prompts = prompts, .options = options, .ends = end_tokens, .streams = streams, .on_token = on_token})();
}

}  // namespace coho::trainer
