#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

/// The values of a template are Python's. Objects are shared and, but for namespaces, generators and loops, immutable.
namespace coho::trainer::jinja {

enum class kind : std::uint8_t {
  undefined,
  none,
  boolean,
  integer,
  real,
  text,
  list,
  tuple,
  dict,
  view,  ///< of a dict: its keys, values or items
  range,
  generator,
  name_space,
  loop,
  function,
};

/// What is on the heap. An object counts against the memory of the rendering that made it.
struct object {
  object() = default;
  object(const object&) = delete;
  object& operator=(const object&) = delete;
  ~object() {
    if (meter != nullptr) *meter -= bytes;
  }

  std::size_t* meter = nullptr;
  std::size_t bytes = 0;
  std::size_t depth = 0;  ///< of objects within this one
};

struct text_object;
struct sequence_object;
struct dict_object;
struct view_object;
struct range_object;
struct generator_object;
struct namespace_object;
struct loop_object;
struct function_object;
struct undefined_object;

class value {
 public:
  /// None.
  value() noexcept : kind_(jinja::kind::none), integer_(0) {}
  /// True or False.
  static value boolean(bool b) noexcept { return {jinja::kind::boolean, b ? 1 : 0}; }
  /// An int, here of 64 bits.
  static value integer(std::int64_t i) noexcept { return {jinja::kind::integer, i}; }
  /// A float.
  static value real(double x) noexcept {
    value out(jinja::kind::real, 0);
    out.real_ = x;
    return out;
  }
  /// `object` is of the type that belongs to the kind.
  value(jinja::kind kind, std::shared_ptr<object> object) noexcept
      : kind_(kind), integer_(0), object_(std::move(object)) {}

  jinja::kind kind() const noexcept { return kind_; }
  bool is_kind(jinja::kind kind) const noexcept { return kind_ == kind; }
  bool is_undefined() const noexcept { return kind_ == jinja::kind::undefined; }
  bool is_none() const noexcept { return kind_ == jinja::kind::none; }
  /// An integer or a boolean, which is one in Python.
  bool is_integral() const noexcept { return kind_ == jinja::kind::integer || kind_ == jinja::kind::boolean; }
  /// An integer, a boolean or a float.
  bool is_number() const noexcept { return is_integral() || kind_ == jinja::kind::real; }
  /// A list or a tuple.
  bool is_sequence() const noexcept { return kind_ == jinja::kind::list || kind_ == jinja::kind::tuple; }

  /// Of a boolean or an integer.
  std::int64_t integral() const noexcept { return integer_; }
  /// Of any number.
  double number() const noexcept { return kind_ == jinja::kind::real ? real_ : static_cast<double>(integer_); }
  /// Of a text.
  const std::string& text() const noexcept;
  /// Whether it is a text that is safe in HTML.
  bool is_markup() const noexcept;
  /// Of a list or a tuple.
  const std::vector<value>& items() const noexcept;

  /// Null for None, booleans and numbers.
  const std::shared_ptr<object>& shared_object() const noexcept { return object_; }
  /// Of objects within this one, itself included.
  std::size_t depth() const noexcept { return object_ ? object_->depth : 0; }
  /// The object of a value of the kind that has such objects.
  template <class Object>
  Object& object_as() const noexcept {
    return static_cast<Object&>(*object_);
  }

 private:
  value(jinja::kind kind, std::int64_t integer) noexcept : kind_(kind), integer_(integer) {}

  jinja::kind kind_;
  union {
    std::int64_t integer_;
    double real_;
  };
  std::shared_ptr<object> object_;
};

/// A dict: entries in the order of insertion. Keys are texts, numbers, None and tuples of these; 1, 1.0 and True are
/// one key.
class dictionary {
 public:
  using entry = std::pair<value, value>;

  /// Null if there is no such key. Throws `failure` for a value that cannot be a key.
  const value* find(const value& key) const;
  const value* find(std::string_view key) const;
  /// Replaces the item of a key that is there, which keeps its place. Throws `failure` for a value that cannot be a
  /// key.
  void set(value key, value item);
  /// In the order of insertion.
  const std::vector<entry>& entries() const noexcept { return entries_; }
  std::size_t size() const noexcept { return entries_.size(); }
  void clear() noexcept;

 private:
  /// The size if there is no such key.
  std::size_t entry_index(const value& key, std::size_t hash) const;

  std::vector<entry> entries_;
  std::unordered_multimap<std::size_t, std::size_t> index_;  ///< of the hashes; empty while there are few entries
};

struct text_object : object {
  explicit text_object(std::string words, bool html = false) : text(std::move(words)), markup(html) {}
  const std::string text;
  const bool markup;  ///< of the filters `safe` and `escape`: whatever is added to it is escaped
};

struct sequence_object : object {
  explicit sequence_object(std::vector<value> values) : items(std::move(values)) {}
  const std::vector<value> items;
};

struct dict_object : object {
  explicit dict_object(dictionary entries) : items(std::move(entries)) {}
  const dictionary items;
};

enum class view_part : std::uint8_t { keys, values, items };

struct view_object : object {
  view_object(value dict, view_part which) : of(std::move(dict)), part(which) {}
  const value of;
  const view_part part;
};

struct range_object : object {
  range_object(std::int64_t first, std::int64_t end, std::int64_t by) : start(first), stop(end), step(by) {}
  /// With −1 if it is beyond 64 bits.
  std::int64_t length() const noexcept;
  const std::int64_t start, stop, step;
};

/// The next item, or none at the end.
using next_item = std::function<std::optional<value>()>;

struct generator_object : object {
  explicit generator_object(next_item following) : next(std::move(following)) {}
  next_item next;
};

struct namespace_object : object {
  dictionary attributes;
};

struct loop_object : object {
  next_item next;                   ///< what is not visited yet, after `following`
  std::optional<value> following;   ///< looked at before its turn
  bool ended = false;               ///< nothing follows
  std::optional<std::size_t> size;  ///< where it is known
  value previous, current;
  std::int64_t index = -1;  ///< from 0
  std::size_t number = 0;   ///< tells the loops of a rendering apart
};

struct arguments {
  std::vector<value> positional;
  std::vector<std::pair<std::string, value>> named;
};

struct function_object : object {
  function_object(std::string function_name, std::function<value(const arguments&)> body)
      : name(std::move(function_name)), call(std::move(body)) {}
  const std::string name;
  const std::function<value(const arguments&)> call;
};

struct undefined_object : object {
  explicit undefined_object(std::string why) : cause(std::move(why)) {}
  const std::string cause;  ///< the message of using it
};

inline const std::string& value::text() const noexcept { return object_as<text_object>().text; }
inline bool value::is_markup() const noexcept { return is_kind(jinja::kind::text) && object_as<text_object>().markup; }
inline const std::vector<value>& value::items() const noexcept { return object_as<sequence_object>().items; }

/// Python's name of a value's type, as in its messages: "str", "NoneType".
std::string_view type_name(const value& value);

/// Python's truth of a value.
bool is_true(const value& value);

/// Throws `failure` with the cause of an Undefined value: that it was used.
[[noreturn]] void refuse_undefined(const value& undefined);

/// The number of items, or none for what has no length.
std::optional<std::size_t> length_of(const value& value);

}  // namespace coho::trainer::jinja
