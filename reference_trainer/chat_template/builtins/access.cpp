#include "chat_template/builtins/access.hpp"

#include <algorithm>
#include <string>

#include "chat_template/builtins/loop.hpp"
#include "chat_template/builtins/methods.hpp"
#include "chat_template/values/markup.hpp"
#include "chat_template/values/python_text.hpp"
#include "chat_template/values/value_text.hpp"
#include "text/utf8.hpp"

namespace coho::trainer::jinja {

namespace {

// As Jinja names an object in its messages.
std::string object_description(const value& object) {
  if (object.is_none()) return "None";
  return std::string(type_name(object)) + " object";
}

// Undefined, with the message that using it throws.
value undefined_attribute(sandbox& box, const value& object, std::string_view name) {
  return box.make_undefined("'" + object_description(object) + "' has no attribute '" + std::string(name) + "'");
}

// The item of a dict under a key, or of a text, list, tuple or range at an index, from its end if negative.
std::optional<value> find_element(sandbox& box, const value& object, const value& key) {
  if (object.is_kind(kind::dict) || object.is_kind(kind::name_space)) {
    if (!object.is_kind(kind::dict)) return std::nullopt;
    const bool hashable = !key.is_kind(kind::list) && !key.is_kind(kind::dict) && !key.is_kind(kind::view);
    const auto* const found = hashable ? object.object_as<dict_object>().items.find(key) : nullptr;
    return found != nullptr ? std::optional(*found) : std::nullopt;
  }
  if (!key.is_integral()) return std::nullopt;
  const auto size = object.is_kind(kind::text) || object.is_sequence() || object.is_kind(kind::range)
                        ? length_of(object)
                        : std::nullopt;
  if (!size) return std::nullopt;
  const auto length = static_cast<std::int64_t>(*size);
  const auto at = key.integral() < 0 ? key.integral() + length : key.integral();
  if (at < 0 || at >= length) return std::nullopt;
  const auto index = static_cast<std::size_t>(at);
  if (object.is_sequence()) return object.items()[index];
  if (object.is_kind(kind::range)) {
    const auto& range = object.object_as<range_object>();
    return value::integer(range.start + at * range.step);
  }
  box.count_bytes(object.text().size());
  const auto rest = std::string_view(object.text()).substr(byte_offset_of_character(object.text(), index));
  return box.make_text(std::string(rest.substr(0, utf8_length(rest))), object.is_markup());
}

// A start or stop of a slice as an index within the object: from the end if negative, `otherwise` if it is None, and
// moved into the range that the direction allows.
std::int64_t slice_bound(const value& given, std::int64_t otherwise, std::int64_t length, bool backwards) {
  if (given.is_none()) return otherwise;
  if (!given.is_integral()) throw failure("slice indices must be integers or None or have an __index__ method");
  const auto at = given.integral() < 0 ? given.integral() + length : given.integral();
  return std::clamp<std::int64_t>(at, backwards ? -1 : 0, backwards ? length - 1 : length);
}

}  // namespace

std::optional<value> find_attribute(sandbox& box, const value& object, std::string_view name) {
  if (object.is_undefined()) refuse_undefined(object);
  if (name.starts_with("__") && name.ends_with("__"))
    return box.make_undefined("access to attribute '" + std::string(name) + "' of '" + std::string(type_name(object)) +
                              "' object is unsafe.");
  if (is_mutating_attribute(object.kind(), name))
    return box.make_undefined("access to attribute '" + std::string(name) + "' of '" + std::string(type_name(object)) +
                              "' object is unsafe.");
  if (object.is_kind(kind::name_space)) {
    const auto* const found = object.object_as<namespace_object>().attributes.find(name);
    return found != nullptr ? std::optional(*found) : std::nullopt;
  }
  if (object.is_kind(kind::loop)) return loop_attribute(box, object, name);
  if (object.is_markup() && (name == "join" || name == "format" || name == "replace"))
    throw failure("the method '" + std::string(name) + "' of a safe or escaped text is not supported");
  if (object.is_kind(kind::range)) {
    const auto& range = object.object_as<range_object>();
    if (name == "start" || name == "stop" || name == "step")
      return value::integer(name == "start" ? range.start : name == "stop" ? range.stop : range.step);
  }
  if (object.is_kind(kind::function) && name == "name") return box.make_text(object.object_as<function_object>().name);
  if (const method found = find_method(object.kind(), name))
    return box.make_function(
        std::string(name),
        [&box, object, found, escapes = object.is_markup()](const arguments& given) {
          if (object.is_kind(kind::text)) box.count_bytes(object.text().size());
          return escapes ? to_markup(box, found(box, object, given)) : found(box, object, given);
        },
        object);
  if (is_unsupported_attribute(object.kind(), name))
    throw failure("'" + std::string(type_name(object)) + "." + std::string(name) + "' is not supported");
  return std::nullopt;
}

value get_attribute(sandbox& box, const value& object, std::string_view name) {
  box.count_steps();
  if (auto found = find_attribute(box, object, name)) return *found;
  if (object.is_kind(kind::dict))
    if (const auto* const item = object.object_as<dict_object>().items.find(name)) return *item;
  return undefined_attribute(box, object, name);
}

value get_item(sandbox& box, const value& object, const value& key) {
  box.count_steps();
  if (object.is_undefined()) refuse_undefined(object);
  if (auto found = find_element(box, object, key)) return *found;
  if (key.is_kind(kind::text)) {
    if (auto found = find_attribute(box, object, key.text())) return *found;
    return undefined_attribute(box, object, key.text());
  }
  const bool shown = key.is_number() || key.is_none();
  return box.make_undefined(object_description(object) + " has no element " +
                            (shown ? repr_of(box, key) : std::string(type_name(key))));
}

value get_slice(sandbox& box, const value& object, const value& start, const value& stop, const value& step) {
  box.count_steps();
  if (object.is_undefined()) refuse_undefined(object);
  if (!object.is_kind(kind::text) && !object.is_sequence() && !object.is_kind(kind::range)) {
    throw failure(object.is_kind(kind::dict) ? "unhashable type: 'slice'"
                                             : "'" + std::string(type_name(object)) + "' object is not subscriptable");
  }
  if (object.is_kind(kind::text)) box.count_bytes(object.text().size());
  const auto length = static_cast<std::int64_t>(*length_of(object));
  if (!step.is_none() && !step.is_integral())
    throw failure("slice indices must be integers or None or have an __index__ method");
  if (step.is_integral() && step.integral() == 0) throw failure("slice step cannot be zero");
  // Beyond the length all steps are alike, and these cannot overflow.
  const auto by = std::clamp<std::int64_t>(step.is_none() ? 1 : step.integral(), -length - 1, length + 1);
  const bool backwards = by < 0;
  const auto from = slice_bound(start, backwards ? length - 1 : 0, length, backwards);
  const auto to = slice_bound(stop, backwards ? -1 : length, length, backwards);
  if (object.is_kind(kind::text))
    return box.make_text(slice_text(object.text(), from, to, by, static_cast<std::size_t>(length)), object.is_markup());
  if (object.is_kind(kind::range)) {
    // Beyond 64 bits the range ends there: it has at most one item more.
    __extension__ using wide = __int128;
    const auto narrow = [](wide x) { return static_cast<std::int64_t>(std::clamp<wide>(x, INT64_MIN, INT64_MAX)); };
    const auto& range = object.object_as<range_object>();
    return box.make_range(narrow(range.start + wide(from) * range.step), narrow(range.start + wide(to) * range.step),
                          narrow(wide(range.step) * (step.is_none() ? 1 : step.integral())));
  }
  std::vector<value> out;
  for (auto at = from; backwards ? at > to : at < to; at += by)
    out.push_back(object.items()[static_cast<std::size_t>(at)]);
  box.count_steps(out.size());
  return box.make_sequence(object.kind(), std::move(out));
}

value call_function(const value& function, const arguments& given) {
  if (function.is_undefined()) refuse_undefined(function);
  if (!function.is_kind(kind::function))
    throw failure("'" + std::string(type_name(function)) + "' object is not callable");
  return function.object_as<function_object>().call(given);
}

}  // namespace coho::trainer::jinja
