#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "jsonl/jsonl.hpp"

namespace coho::trainer {

/// The records of one file as JSON values: what `jsonl_reader` reads from, for each form of file. Faults are
/// `file_error` with the place.
class value_source {
 public:
  value_source() = default;
  value_source(const value_source&) = delete;
  virtual ~value_source() = default;

  /// The next value; false at the end.
  virtual bool next(json& value) = 0;
  /// After `next` threw: whether reading can continue with the next value.
  virtual bool recover() = 0;

  /// Where the last value began: "line 12".
  virtual std::string place() const = 0;
  /// The last value as JSON text, verbatim where the file is text; valid until the next call of `next`.
  virtual std::string_view text() const = 0;
  /// The offset of that text in a plain file.
  virtual std::uint64_t offset() const { return 0; }
  /// Whether the text can be read again at its offset.
  virtual bool can_reread() const { return false; }
};

}  // namespace coho::trainer
