#pragma once

#include "records/records.hpp"

namespace coho::trainer {

/// A prompt with one response, and whether that is desirable: what KTO learns from.
struct labelled_record {
  sft_record exchange;
  bool desirable = true;
  friend bool operator==(const labelled_record&, const labelled_record&) = default;
};

/// JSON forms, as those of records.hpp: every form of an sft_record with a "label", true or 1 for a desirable response,
/// false or 0 for an undesirable one; {"prompt","completion","label"} is TRL's.
json to_json(const labelled_record& record);
bool from_json(const json& value, const jsonl_reader& at, labelled_record& record);

}  // namespace coho::trainer
