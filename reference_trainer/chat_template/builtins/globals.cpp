#include "chat_template/builtins/globals.hpp"

#include <string>

#include "chat_template/builtins/parameters.hpp"
#include "chat_template/values/iteration.hpp"
#include "chat_template/values/value_text.hpp"

namespace coho::trainer::jinja {

namespace {

// range(stop), range(start, stop, step). Throws `failure` for a step of 0 and at `range_items`.
value range_function(sandbox& box, const arguments& given) {
  if (!given.named.empty()) throw failure("range() takes no keyword arguments");
  const parameters p("range", given, {"start", "stop", "step"}, 1);
  const bool one = !p.is_given(1);
  const auto start = one ? 0 : p.integer(0), stop = one ? p.integer(0) : p.integer(1), step = p.integer(2, 1);
  if (step == 0) throw failure("range() arg 3 must not be zero");
  auto out = box.make_range(start, stop, step);
  const auto length = out.object_as<range_object>().length();
  if (length < 0 || static_cast<std::size_t>(length) > box.limits().range_items)
    box.refuse_beyond_limit("range_items", box.limits().range_items);
  return out;
}

// The entries of `dict(mapping, name=value)`: a mapping, pairs, and names.
dictionary dict_entries(sandbox& box, std::string_view function, const arguments& given) {
  dictionary out;
  if (given.positional.size() > 1) throw failure(std::string(function) + " expected at most 1 argument");
  if (!given.positional.empty()) {
    const auto& from = given.positional[0];
    if (from.is_kind(kind::dict)) {
      out = from.object_as<dict_object>().items;
      box.count_steps(out.size());
    } else {
      for (const auto& pair : items_of(box, from)) {
        const auto two = items_of(box, pair);
        if (two.size() != 2)
          throw failure("dictionary update sequence element has length " + std::to_string(two.size()) +
                        "; 2 is required");
        out.set(two[0], two[1]);
      }
    }
  }
  for (const auto& [name, item] : given.named) out.set(box.make_text(name), item);
  return out;
}

// namespace(mapping, name=value). Throws `failure` for names that are not texts.
value namespace_function(sandbox& box, const arguments& given) {
  const auto attributes = dict_entries(box, "namespace", given);
  auto out = box.make_namespace();
  for (const auto& [name, item] : attributes.entries()) {
    if (!name.is_kind(kind::text))
      throw failure("the attributes of a namespace have names, not " + std::string(type_name(name)));
    box.set_namespace_attribute(out.object_as<namespace_object>(), name.text(), item);
  }
  return out;
}

// raise_exception(message): throws `failure` with the message.
value raise_exception_function(sandbox& box, const arguments& given) {
  const parameters p("raise_exception", given, {"message"}, 1);
  throw failure(text_of(box, p[0]));
}

// strftime_now(format), as transformers has it, in the C locale of the program. Throws `failure` for a format of more
// than 1000 bytes.
value strftime_now_function(sandbox& box, const arguments& given, const clock_function& now) {
  const parameters p("strftime_now", given, {"format"}, 1);
  const auto& format = p.text(0);
  if (format.empty()) return box.make_text("");
  if (format.size() > 1000) throw failure("a format of strftime_now may have 1000 bytes");
  const std::tm time = now();
  // Of an empty result the size is 0 too, as of one that does not fit: with a byte more it is told apart.
  const auto longer = format + '.';
  std::string out(64 * longer.size(), '\0');
  out.resize(std::strftime(out.data(), out.size(), longer.c_str(), &time));
  if (out.empty()) throw failure("the time does not fit in 64 bytes per character of its format");
  out.pop_back();
  return box.make_text(std::move(out));
}

}  // namespace

std::optional<value> find_global(sandbox& box, std::string_view name, const clock_function& now) {
  using body = value (*)(sandbox&, const arguments&);
  static constexpr std::pair<std::string_view, body> functions[] = {
      {"range", range_function},
      {"dict", [](sandbox& in, const arguments& given) { return in.make_dict(dict_entries(in, "dict", given)); }},
      {"namespace", namespace_function},
      {"raise_exception", raise_exception_function},
  };
  for (const auto& [known, function] : functions)
    if (known == name)
      return box.make_function(std::string(name),
                               [&box, function](const arguments& given) { return function(box, given); });
  if (name == "strftime_now")
    return box.make_function("strftime_now",
                             [&](const arguments& given) { return strftime_now_function(box, given, now); });
  if (name == "lipsum" || name == "cycler" || name == "joiner")
    throw failure("the function '" + std::string(name) + "' is not supported in chat templates");
  return std::nullopt;
}

}  // namespace coho::trainer::jinja
