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

/// The tokens of words that were merged before, with the room for merging others. For one thread at a time.
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
  merge_room room_;
};

/// One cache for each call that runs at the same time as others; they are lent and come back.
class word_cache_pool {
 public:
  class loan {
   public:
    explicit loan(word_cache_pool& pool) : pool_(pool), cache_(pool.take()) {}
    loan(const loan&) = delete;
    loan& operator=(const loan&) = delete;
    ~loan() { pool_.give_back(std::move(cache_)); }
    word_cache& operator*() const noexcept { return *cache_; }

   private:
    word_cache_pool& pool_;
    std::unique_ptr<word_cache> cache_;
  };

 private:
  std::unique_ptr<word_cache> take();
  void give_back(std::unique_ptr<word_cache> cache) noexcept;

  std::mutex mutex_;
  std::vector<std::unique_ptr<word_cache>> idle_;
};

}  // namespace coho::trainer
