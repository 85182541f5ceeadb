#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <coho/packed.hpp>

#include "tokenizer_json/byte_pairs.hpp"

namespace coho::trainer {

/// The tokens of words that were merged before, with the memory for merging others. For one thread at a time.
class word_cache {
 public:
  /// Appends the tokens of a word. A full cache is emptied.
  void encode(const byte_pair_model& model, std::string_view word, std::vector<token>& out);

 private:
  struct entry {
    std::uint64_t hash = 0;
    std::uint32_t text = 0, tokens = 0;            // where they begin
    std::uint16_t text_size = 0, token_count = 0;  // text_size 0: no entry
  };

  std::vector<entry> entries_;
  std::string texts_;
  std::vector<token> tokens_;
  std::size_t count_ = 0;
  merge_workspace workspace_;
};

/// Caches for calls that run at the same time: each leases one and returns it when its lease ends.
class word_cache_pool {
 public:
  class lease {
   public:
    explicit lease(word_cache_pool& pool) : pool_(pool), cache_(pool.acquire()) {}
    lease(const lease&) = delete;
    lease& operator=(const lease&) = delete;
    ~lease() { pool_.release(std::move(cache_)); }
    word_cache& operator*() const noexcept { return *cache_; }

   private:
    word_cache_pool& pool_;
    std::unique_ptr<word_cache> cache_;
  };

 private:
  /// An idle cache, or a new one.
  std::unique_ptr<word_cache> acquire();
  /// Keeps the cache for the next lease, unless 64 are idle.
  void release(std::unique_ptr<word_cache> cache) noexcept;

  std::mutex mutex_;
  std::vector<std::unique_ptr<word_cache>> idle_;
};

}  // namespace coho::trainer
