#include "checkpoint/safetensors_header.hpp"

#include <unordered_set>
#include <utility>

#include <nlohmann/json.hpp>

#include "files/json_events.hpp"

namespace coho::trainer {
namespace {

/// Receives JSON events (the interface of nlohmann::json_sax; false stops parsing). Depth 1 is the header, 2 a tensor's
/// entry or the metadata; `list_` says which list of numbers is open. `problem` is the fault after a stop.
class header_reader : public json_event_types {
 public:
  header_reader(std::vector<header_entry>& entries, std::map<std::string, std::string>& metadata)
      : entries_(entries), metadata_(metadata) {}

  std::string problem;

  bool null() { return skip_or_refuse_scalar("null"); }
  bool boolean(bool) { return skip_or_refuse_scalar("a boolean"); }
  bool number_integer(number_integer_t) { return skip_or_refuse_scalar("a negative number"); }
  bool number_float(number_float_t, const string_t&) {
    return skip_or_refuse_scalar("a fraction or a number over 64 bits");
  }
  bool binary(binary_t&) { return skip_or_refuse_scalar("binary data"); }

  // A size of a shape, or one of the two offsets.
  bool number_unsigned(number_unsigned_t value) {
    if (skipped_ > 0) return true;
    if (list_ == list::shape) {
      entry().shape.push_back(value);
      return true;
    }
    if (list_ == list::offsets) {
      if (offsets_ >= 2) return refuse("data_offsets must hold two numbers");
      (offsets_ == 0 ? entry().begin : entry().end) = value;
      ++offsets_;
      return true;
    }
    return skip_or_refuse_scalar("a number");
  }

  // A value of the metadata, or an element type.
  bool string(string_t& value) {
    if (skipped_ > 0) return true;
    if (depth_ == 2 && in_metadata_) {
      metadata_.emplace(key_, std::move(value));
      return true;
    }
    if (depth_ == 2 && key_ == "dtype") {
      const auto dtype = find_tensor_dtype(value);
      if (!dtype) return refuse("the element type \"" + value.substr(0, 32) + "\" is unknown");
      entry().dtype = *dtype;
      return true;
    }
    return skip_or_refuse_scalar("a string");
  }

  // The header, then an entry or the metadata; deeper objects are skipped if their field is unknown.
  bool start_object(std::size_t) {
    if (skipped_ > 0 || is_unknown_field()) return ++skipped_, true;
    if (depth_ >= 2 || list_ != list::none) return refuse("an object where none is expected");
    ++depth_;
    if (depth_ == 2) {
      in_metadata_ = key_ == "__metadata__";
      if (!in_metadata_) entries_.push_back({key_, tensor_dtype::f32, {}, 0, 0});
      fields_.clear();
      offsets_ = 0;
    }
    return true;
  }

  // The reference reader lets a repeated key win silently; here it is a fault.
  bool key(string_t& name) {
    if (skipped_ > 0) return true;
    auto& seen = depth_ == 1 ? names_ : fields_;
    if (!seen.insert(name).second) {
      name_ = depth_ == 1 ? name : name_;
      return refuse("the key \"" + name.substr(0, 64) + "\" occurs twice");
    }
    if (depth_ == 1) name_ = name;
    key_ = std::move(name);
    return true;
  }

  // An entry is complete only with its three fields.
  bool end_object() {
    if (skipped_ > 0) return --skipped_, true;
    if (depth_ == 2 && !in_metadata_) {
      for (const char* field : {"dtype", "shape", "data_offsets"}) {
        if (!fields_.contains(field)) return refuse(std::string(field) + " is missing");
      }
    }
    --depth_;
    return true;
  }

  // The only lists are an entry's shape and offsets.
  bool start_array(std::size_t) {
    if (skipped_ > 0 || is_unknown_field()) return ++skipped_, true;
    if (depth_ != 2 || in_metadata_ || list_ != list::none) return refuse("a list where none is expected");
    if (key_ == "shape") return list_ = list::shape, true;
    if (key_ == "data_offsets") return list_ = list::offsets, true;
    return refuse("a list where none is expected");
  }

  // There must have been two offsets.
  bool end_array() {
    if (skipped_ > 0) return --skipped_, true;
    if (list_ == list::offsets && offsets_ != 2) return refuse("data_offsets must hold two numbers");
    list_ = list::none;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) {
    problem = "the header is not a JSON document (byte " + std::to_string(position) + ")";
    return false;
  }

 private:
  enum class list { none, shape, offsets };

  header_entry& entry() { return entries_.back(); }

  /// The reference reader ignores unknown fields of an entry.
  bool is_unknown_field() const {
    return depth_ == 2 && !in_metadata_ && list_ == list::none && key_ != "dtype" && key_ != "shape" &&
           key_ != "data_offsets";
  }

  /// Passes over a scalar in an unknown field, and refuses it elsewhere. False ends the reading.
  bool skip_or_refuse_scalar(const char* what) {
    if (skipped_ > 0 || is_unknown_field()) return true;
    return refuse(std::string(what) + " where none is expected");
  }

  /// Stops parsing; the fault names the tensor whose entry is being read.
  bool refuse(const std::string& what) {
    problem = depth_ == 0 ? what : "at key \"" + name_.substr(0, 128) + "\": " + what;
    return false;
  }

  std::vector<header_entry>& entries_;
  std::map<std::string, std::string>& metadata_;
  std::unordered_set<std::string> names_, fields_;
  std::string key_, name_;
  std::size_t skipped_ = 0;
  int depth_ = 0, offsets_ = 0;
  bool in_metadata_ = false;
  list list_ = list::none;
};

}  // namespace

std::optional<std::string> parse_safetensors_header(std::string_view text, std::vector<header_entry>& entries,
                                                    std::map<std::string, std::string>& metadata) {
  // The JSON library would skip a byte order mark, which the format does not allow.
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || text[first] != '{') return "the header is not a JSON object";
  header_reader reader(entries, metadata);
  if (nlohmann::json::sax_parse(text.begin(), text.end(), &reader)) return std::nullopt;
  return reader.problem;
}

}  // namespace coho::trainer
