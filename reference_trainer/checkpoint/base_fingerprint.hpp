#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "checkpoint/hf_model.hpp"

namespace coho::trainer {

/// Tells one base's weights from another's, whatever form they are loaded in.
///
/// Hashed are names, shapes and up to 4096 values of each tensor (all of a small one; of a larger one 64 stretches of
/// 64 values, evenly spaced), rounded to bf16: a checkpoint in fp32 and its copy in bf16 have one fingerprint. Linears
/// of the decoder blocks are hashed apart from the rest, which NF4 leaves as it is: a packed copy of a base agrees with
/// it in `rest`, and its linears, which are other numbers, are compared with those of packed checkpoints only. So is
/// the head, which a classifier and a tied model do not have. Weights in fp16 that were rounded from fp32 differ in a
/// few bits of bf16 and so in their fingerprint.
struct base_fingerprint {
  std::string rest;     ///< embedding and norms: 16 hexadecimal digits
  std::string linears;  ///< likewise
  std::string head;     ///< likewise; empty: none of its own
  bool packed = false;  ///< `linears` is of NF4 codes
  friend bool operator==(const base_fingerprint&, const base_fingerprint&) = default;
};

/// Of a checkpoint as it is stored: to be called before its tensors are taken.
base_fingerprint fingerprint_of(const hf_checkpoint& checkpoint);

/// What differs ("linears", say), or nothing where the two can be of one base.
std::string differing_parts(const base_fingerprint& a, const base_fingerprint& b);

/// The file next to an adapter that holds the fingerprint of its base; PEFT does not read it.
inline constexpr const char* fingerprint_file = "base_fingerprint.json";

struct stored_fingerprint {
  base_fingerprint fingerprint;
  std::string base_model;  ///< the base's folder when the adapter was trained
};

/// Nothing where the adapter carries none. Throws `file_error` for a file that is not one of ours.
std::optional<stored_fingerprint> read_fingerprint(const std::filesystem::path& adapter);
void write_fingerprint(const std::filesystem::path& adapter, const base_fingerprint& fingerprint,
                       const std::string& base_model);

}  // namespace coho::trainer
