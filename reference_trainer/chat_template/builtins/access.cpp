#include <algorithm>
#include <string>

#include "chat_template/builtins/loop.hpp"
#include "chat_template/builtins/markup.hpp"
#include "chat_template/builtins/methods.hpp"
#include "chat_template/values/operators.hpp"
#include "chat_template/values/python_text.hpp"
#include "chat_template/values/value_text.hpp"
#include "text/utf8.hpp"

namespace coho::trainer::jinja {

namespace {

// As Jinja names an object in its messages.
std::string described(const value& object) {
  if (object.is_none()) return "None";
  return std::string(type_name(object)) + " object";
}

value missing_attribute(sandbox& box, const value& object, std::string_view name) {
  return box.undefined("'" + described(object) + "' has no attribute '" + std::string(name) + "'");
}

std::optional<value> element(sandbox& box, const value& object, const value& key) {
  if (object.is(kind::dict) || object.is(kind::name_space)) {
    if (!object.is(kind::dict)) return std::nullopt;
    const bool hashable = !key.is(kind::list) && !key.is(kind::dict) && !key.is(kind::view);
    const auto* const found = hashable ? object.as<dict_object>().items.find(key) : nullptr;
    return found != nullptr ? std::optional(*found) : std::nullopt;
  }
  if (!key.is_integral()) return std::nullopt;
  const auto size =
      object.is(kind::text) || object.is_sequence() || object.is(kind::range) ? length_of(object) : std::nullopt;
  if (!size) return std::nullopt;
  const auto length = static_cast<std::int64_t>(*size);
  const auto at = key.integral() < 0 ? key.integral() + length : key.integral();
  if (at < 0 || at >= length) return std::nullopt;
  const auto index = static_cast<std::size_t>(at);
  if (object.is_sequence()) return object.items()[index];
  if (object.is(kind::range)) {
    const auto& range = object.as<range_object>();
    return value::integer(range.start + at * range.step);
  }
  box.work(object.text().size());
  const auto rest = std::string_view(object.text()).substr(byte_of_character(object.text(), index));
  return box.text(std::string(rest.substr(0, utf8_length(rest))), object.is_markup());
}

std::int64_t bound(const value& given, std::int64_t otherwise, std::int64_t length, bool backwards) {
  if (given.is_none()) return otherwise;
  if (!given.is_integral()) throw failure("slice indices must be integers or None or have an __index__ method");
  const auto at = given.integral() < 0 ? given.integral() + length : given.integral();
  return std::clamp<std::int64_t>(at, backwards ? -1 : 0, backwards ? length - 1 : length);
}

}  // namespace

std::optional<value> find_attribute(sandbox& box, const value& object, std::string_view name) {
  if (object.is_undefined()) refuse_undefined(object);
  if (name.starts_with("__") && name.ends_with("__"))
    return box.undefined("access to attribute '" + std::string(name) + "' of '" + std::string(type_name(object)) +
                         "' object is unsafe.");
  if (is_mutating(object.kind(), name))
    return box.undefined("access to attribute '" + std::string(name) + "' of '" + std::string(type_name(object)) +
                         "' object is unsafe.");
  if (object.is(kind::name_space)) {
    const auto* const found = object.as<namespace_object>().attributes.find(name);
    return found != nullptr ? std::optional(*found) : std::nullopt;
  }
  if (object.is(kind::loop)) return loop_attribute(box, object, name);
  if (object.is_markup() && (name == "join" || name == "format" || name == "replace"))
    throw failure("the method '" + std::string(name) + "' of a safe or escaped text is not supported");
  if (object.is(kind::range)) {
    const auto& range = object.as<range_object>();
    if (name == "start" || name == "stop" || name == "step")
      return value::integer(name == "start" ? range.start : name == "stop" ? range.stop : range.step);
  }
  if (object.is(kind::function) && name == "name") return box.text(object.as<function_object>().name);
  if (const method found = find_method(object.kind(), name))
    return box.function(
        std::string(name),
        [&box, object, found, escapes = object.is_markup()](const arguments& given) {
          if (object.is(kind::text)) box.work(object.text().size());
          return escapes ? marked_up(box, found(box, object, given)) : found(box, object, given);
        },
        object);
  if (is_unsupported_attribute(object.kind(), name))
    throw failure("'" + std::string(type_name(object)) + "." + std::string(name) + "' is not supported");
  return std::nullopt;
}

value get_attribute(sandbox& box, const value& object, std::string_view name) {
  box.step();
  if (auto found = find_attribute(box, object, name)) return *found;
  if (object.is(kind::dict))
    if (const auto* const item = object.as<dict_object>().items.find(name)) return *item;
  return missing_attribute(box, object, name);
}

value get_item(sandbox& box, const value& object, const value& key) {
  box.step();
  if (object.is_undefined()) refuse_undefined(object);
  if (auto found = element(box, object, key)) return *found;
  if (key.is(kind::text)) {
    if (auto found = find_attribute(box, object, key.text())) return *found;
    return missing_attribute(box, object, key.text());
  }
  const bool shown = key.is_number() || key.is_none();
  return box.undefined(described(object) + " has no element " +
                       (shown ? repr_of(box, key) : std::string(type_name(key))));
}

value get_slice(sandbox& box, const value& object, const value& start, const value& stop, const value& step) {
  box.step();
  if (object.is_undefined()) refuse_undefined(object);
  if (!object.is(kind::text) && !object.is_sequence() && !object.is(kind::range)) {
    throw failure(object.is(kind::dict) ? "unhashable type: 'slice'"
                                        : "'" + std::string(type_name(object)) + "' object is not subscriptable");
  }
  if (object.is(kind::text)) box.work(object.text().size());
  const auto length = static_cast<std::int64_t>(*length_of(object));
  if (!step.is_none() && !step.is_integral())
    throw failure("slice indices must be integers or None or have an __index__ method");
  if (step.is_integral() && step.integral() == 0) throw failure("slice step cannot be zero");
  // Beyond the length all steps are alike, and these cannot overflow.
  const auto by = std::clamp<std::int64_t>(step.is_none() ? 1 : step.integral(), -length - 1, length + 1);
  const bool backwards = by < 0;
  const auto from = bound(start, backwards ? length - 1 : 0, length, backwards);
  const auto to = bound(stop, backwards ? -1 : length, length, backwards);
  if (object.is(kind::text))
    return box.text(sliced(object.text(), from, to, by, static_cast<std::size_t>(length)), object.is_markup());
  if (object.is(kind::range)) {
    // Beyond 64 bits the range ends there: it has at most one item more.
    __extension__ using wide = __int128;
    const auto narrow = [](wide x) { return static_cast<std::int64_t>(std::clamp<wide>(x, INT64_MIN, INT64_MAX)); };
    const auto& range = object.as<range_object>();
    return box.range(narrow(range.start + wide(from) * range.step), narrow(range.start + wide(to) * range.step),
                     narrow(wide(range.step) * (step.is_none() ? 1 : step.integral())));
  }
  std::vector<value> out;
  for (auto at = from; backwards ? at > to : at < to; at += by)
    out.push_back(object.items()[static_cast<std::size_t>(at)]);
  box.step(out.size());
  return box.sequence(object.kind(), std::move(out));
}

value call(const value& function, const arguments& given) {
  if (function.is_undefined()) refuse_undefined(function);
  if (!function.is(kind::function)) throw failure("'" + std::string(type_name(function)) + "' object is not callable");
  return function.as<function_object>().call(given);
}

void refuse_undefined(const value& undefined) { throw failure(undefined.as<undefined_object>().cause); }

}  // namespace coho::trainer::jinja
