#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <coho/principle/principle.hpp>
#include <coho/train/preference_source.hpp>

#include "config/config.hpp"
#include "records/record_store.hpp"

namespace coho::trainer {

/// The lines that a reward model reads: each principle's text as the record has it, or by its name from `collection`,
/// in its negative form where the record says so. Throws argument_error for a name that is not found there.
std::vector<std::string> principle_lines(const preference_record& record, std::span<const principle> collection);

/// Records as pairs of queries, with the text that the queries point to. `margins`: those of records without principles
/// become the pairs'. A margin that `aggregate` wrote never does: it is a judge's log-odds, not a distance of scores.
class preference_batch {
 public:
  preference_batch() = default;
  preference_batch(std::vector<preference_record> records, std::span<const principle> collection, bool margins = true);
  preference_batch(preference_batch&&) = default;
  preference_batch& operator=(preference_batch&&) = default;

  std::span<const preference_record> records() const { return records_; }
  std::span<const preference_pair> pairs() const { return pairs_; }

 private:
  std::vector<preference_record> records_;
  std::vector<std::string> prompts_;
  std::vector<std::vector<std::string>> lines_;
  std::vector<preference_pair> pairs_;
};

/// The pairs of a record_store, or some of them, fetched as they are asked for: a preference_source. Memory holds 20
/// bytes a pair and the text of the last batch.
class preference_set {
 public:
  using store = record_store<preference_record>;
  preference_set(std::shared_ptr<const store> records, std::shared_ptr<const std::vector<principle>> collection,
                 std::vector<std::uint32_t> chosen, bool margins = true)
      : records_(std::move(records)),
        collection_(std::move(collection)),
        chosen_(std::move(chosen)),
        margins_(margins) {}

  std::size_t size() const { return chosen_.size(); }
  std::span<const preference_pair> load(std::span<const std::size_t> indices) { return fetch(indices).pairs(); }
  /// The same with the records; valid until the next call.
  const preference_batch& fetch(std::span<const std::size_t> indices);
  /// The first `count` pairs of an order that the seed gives.
  preference_set sample(std::size_t count, std::uint64_t seed) const;

 private:
  std::shared_ptr<const store> records_;
  std::shared_ptr<const std::vector<principle>> collection_;
  std::vector<std::uint32_t> chosen_;
  bool margins_;
  preference_batch batch_;
};

/// Writes the records of a set, one JSON line each: what was held out, for others to measure on.
void write_pairs(preference_set& pairs, const std::filesystem::path& path);

/// What a section says of its pairs: data, evaluation (a file or a list), limit, evaluation_limit (the first records of
/// each file alone; 0: all), evaluation_share (of the prompts of `data`, held out), principles (the texts of principles
/// that records only name).
struct preference_files {
  std::vector<std::filesystem::path> data{}, evaluation{};
  std::size_t limit = 0, evaluation_limit = 0;
  double evaluation_share = 0;
  std::filesystem::path principles{};
  bool plain = false;   ///< preference pre-training: records with principles are refused
  bool margins = true;  ///< `margins`: "record" reads those of records, "none" leaves them out
};
preference_files read_preference_files(const config& section, bool plain);

/// What is trained on and what is held out.
struct preference_sets {
  preference_set training;
  std::optional<preference_set> held_out;
  std::vector<std::string> notes;  ///< lines for people: the pairs of each file, and what is left out of it
};

/// Opens the files and checks all records. With
/// `evaluation_share` a prompt is held out or not by its text and the seed, so that all pairs of a prompt are on the
/// same side, whatever else the files hold. Throws file_error; argument_error when a side is empty.
/// Pairs for which `read_alike` holds (a reward model reads the same twice) are not trained on, and counted in a note.
preference_sets open_preferences(const preference_files& files, std::uint64_t seed,
                                 const std::function<bool(const preference_pair&)>& read_alike = {});

}  // namespace coho::trainer
