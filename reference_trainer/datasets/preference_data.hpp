#pragma once

#include <array>
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
#include <coho/train/preference_pair.hpp>

#include "config/column_option.hpp"
#include "config/config.hpp"
#include "config/recipe_option.hpp"
#include "records/record_store.hpp"

namespace coho::trainer {

/// The guideline that a reward model reads: the definition of each principle of a record, which is its text in the
/// record or, for a name only, that of `collection`, in its negative form if the record says so. Throws argument_error
/// for a name that `collection` lacks.
std::vector<std::string> principle_definitions(const preference_record& record, std::span<const principle> collection);

/// Records as pairs of queries, with the text that the queries refer to. `margins`: those of records without principles
/// become the pairs'. A margin from `aggregate` never does: it is a judge's log-odds, not a distance of scores.
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
  std::vector<std::vector<std::string>> definitions_;
  std::vector<preference_pair> pairs_;
};

/// The pairs of a record_store, or some of them, fetched on demand: an example_source. Memory holds 20 bytes per pair
/// and the text of the last batch.
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
  /// The first `count` pairs of an order determined by the seed.
  preference_set sample(std::size_t count, std::uint64_t seed) const;

 private:
  std::shared_ptr<const store> records_;
  std::shared_ptr<const std::vector<principle>> collection_;
  std::vector<std::uint32_t> chosen_;
  bool margins_;
  preference_batch batch_;
};

/// Writes the records of a set, one JSON line each: the held-out pairs, for other measurements.
void write_pairs(preference_set& pairs, const std::filesystem::path& path);

/// Whether the margins of records count in the loss.
enum class pair_margins : std::uint8_t { record, none };
constexpr auto option_names(pair_margins) { return std::array{"record", "none"}; }

/// The settings of a section about its pairs.
struct preference_files {
  std::vector<std::filesystem::path> data{}, evaluation{};
  std::size_t limit = 0, evaluation_limit = 0;
  double evaluation_share = 0;
  std::filesystem::path principles{};
  column_choice columns{};
  bool plain = false;  ///< preference pre-training: records with principles are refused
  std::span<const std::string_view> column_names = preference_columns;  ///< that `columns` may choose
  pair_margins margins = pair_margins::record;

  static void describe(auto&& visit, auto&... o) {
    visit(required({"data", "file or files of preferences"}), o.data...);
    visit({"evaluation", "file or files of held-out pairs; not with evaluation_share"}, o.evaluation...);
    visit({"limit", "number of records read from each file; 0: all", {}, "records"}, o.limit...);
    visit({"evaluation_limit", "number of records read from each held-out file; 0: all", {}, "records"},
          o.evaluation_limit...);
    visit({"evaluation_share", "fraction of the prompts in data that is held out", allowed::in_from(0, 1)},
          o.evaluation_share...);
    visit({"principles", "file of principles, for records that only name theirs; not in pre-training"},
          o.principles...);
    visit(columns_option, o.columns...);
    visit({"margins", "whether the margin of a record without principles is subtracted in the loss"}, o.margins...);
  }
  /// Throws config_error for options that exclude each other.
  void resolve(const config& section);
};

/// Whether the pairs of a prompt are held out by `evaluation_share`: that depends only on its text and the seed.
bool is_held_out(const prompt_record& prompt, double evaluation_share, std::uint64_t seed);

/// The training set and the held-out set.
struct preference_sets {
  preference_set training;
  std::optional<preference_set> held_out;
  std::vector<std::string> notes;  ///< lines for the user: the pairs of each file, and how many were left out
};

/// Opens the files and checks all records. With `evaluation_share` a prompt is held out or not depending only on its
/// text and the seed, so all pairs of a prompt are on the same side, whatever else the files contain. Pairs for which
/// `same_tokens` holds (a reward model reads the same twice) are not trained on, and counted in a note. Throws
/// file_error; argument_error if a side is empty.
preference_sets open_preferences(const preference_files& files, std::uint64_t seed,
                                 const std::function<bool(const preference_pair&)>& same_tokens = {});

}  // namespace coho::trainer
