#include "tokenizer_json/word_cache.hpp"

#include <utility>

#include "tokenizer_json/hashing.hpp"

namespace coho::trainer {
namespace {

constexpr std::size_t slots = std::size_t{1} << 16;
constexpr std::size_t longest_word = 256;  // longer words seldom come again
constexpr std::size_t most_caches = 64;

}  // namespace

void word_cache::encode(const byte_pair_model& model, std::string_view word, std::vector<token>& out) {
  if (word.size() > longest_word) return model.encode(word, out, workspace_);
  if (entries_.empty() || count_ >= slots / 2) {
    entries_.assign(slots, {});
    texts_.clear();
    tokens_.clear();
    count_ = 0;
  }
  const auto hash = hash_text(word);
  auto slot = hash & (slots - 1);
  for (; entries_[slot].text_size > 0; slot = (slot + 1) & (slots - 1)) {
    const auto& known = entries_[slot];
    if (known.hash != hash || std::string_view(texts_).substr(known.text, known.text_size) != word) continue;
    const auto begin = tokens_.begin() + known.tokens;
    out.insert(out.end(), begin, begin + known.token_count);
    return;
  }
  const auto before = out.size();
  model.encode(word, out, workspace_);
  entries_[slot] = {hash, static_cast<std::uint32_t>(texts_.size()), static_cast<std::uint32_t>(tokens_.size()),
                    static_cast<std::uint16_t>(word.size()), static_cast<std::uint16_t>(out.size() - before)};
  texts_.append(word);
  tokens_.insert(tokens_.end(), out.begin() + static_cast<std::ptrdiff_t>(before), out.end());
  ++count_;
}

std::unique_ptr<word_cache> word_cache_pool::acquire() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      auto out = std::move(idle_.back());
      idle_.pop_back();
      return out;
    }
    idle_.reserve(most_caches);
  }
  return std::make_unique<word_cache>();
}

void word_cache_pool::release(std::unique_ptr<word_cache> cache) noexcept {
  const std::lock_guard lock(mutex_);
  if (idle_.size() < idle_.capacity()) idle_.push_back(std::move(cache));
}

}  // namespace coho::trainer
