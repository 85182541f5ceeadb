#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "checkpoint/hf_model.hpp"

namespace coho::trainer {

/// Distinguishes the weights of different bases, in whatever form they are loaded.
///
/// The hash covers names, shapes and up to 4096 values of each tensor (all of a small one; of a larger one 64 stretches
/// of 64 values, evenly spaced), rounded to bf16: a checkpoint in fp32 and its copy in bf16 have the same fingerprint.
/// Linears of the decoder blocks are hashed separately from the rest, which NF4 does not change: a packed copy of a
/// base has the same `rest`, and its linears, which differ, are compared only with those of packed checkpoints. The
/// head is separate too, because classifiers and tied models have none. Weights in fp16 that were rounded from fp32
/// differ in a few bits of bf16, so their fingerprint differs.
struct base_fingerprint {
  std::string rest;     ///< embedding and norms: 16 hexadecimal digits
  std::string linears;  ///< likewise
  std::string head;     ///< likewise; empty if there is none
  bool packed = false;  ///< `linears` is of NF4 codes
  friend bool operator==(const base_fingerprint&, const base_fingerprint&) = default;
};

/// The fingerprint of a checkpoint as stored: call it before `llama_weights::from_tensors` consumes its tensors.
base_fingerprint compute_base_fingerprint(const hf_checkpoint& checkpoint);

/// What differs (for example "linears"), or nothing if both can belong to one base.
std::string differing_parts(const base_fingerprint& a, const base_fingerprint& b);

/// The file next to an adapter with the fingerprint of its base; PEFT does not read it.
inline constexpr const char* fingerprint_file = "base_fingerprint.json";

struct stored_fingerprint {
  base_fingerprint fingerprint;
  std::string base_model;  ///< the base's folder when the adapter was trained
};

/// Nothing if the adapter has none. Throws `file_error` for a file of another form.
std::optional<stored_fingerprint> read_fingerprint(const std::filesystem::path& adapter);
/// Writes `fingerprint_file` next to the adapter.
void write_fingerprint(const std::filesystem::path& adapter, const base_fingerprint& fingerprint,
                       const std::string& base_model);

}  // namespace coho::trainer
