#include "chat_template/chat_template.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "chat_template/interpreter.hpp"
#include "chat_template/parser.hpp"
#include "text/utf8.hpp"

namespace coho::trainer {

namespace {

using jinja::kind;
using jinja::value;
using nlohmann::ordered_json;

constexpr std::size_t max_variable_depth = 100;

// A value outside of a sandbox, whose memory is not counted: the variables of a rendering.
template <class Object, class Content>
value make_value(kind type, std::size_t depth, Content content) {
  auto out = std::make_shared<Object>(std::move(content));
  out->depth = depth;
  return {type, std::move(out)};
}

// Bytes that are not UTF-8 become U+FFFD, as where transformers reads files.
value text_value(const std::string& words) {
  return make_value<jinja::text_object>(kind::text, 0, is_utf8(words) ? words : repair_utf8(words));
}

value value_from_json(const ordered_json& json, std::size_t level);

// `depth` rises to that of the deepest entry. Throws `argument_error` as `value_from_json` does.
jinja::dictionary dictionary_from_json(const ordered_json& json, std::size_t level, std::size_t& depth) {
  jinja::dictionary out;
  for (const auto& [name, item] : json.items()) {
    auto converted = value_from_json(item, level + 1);
    depth = std::max(depth, converted.depth());
    out.set(text_value(name), std::move(converted));
  }
  return out;
}

// `level`: of objects and arrays around `json`. Throws `argument_error` for nesting beyond `max_variable_depth` and for
// integers beyond 64 bits.
value value_from_json(const ordered_json& json, std::size_t level) {
  require_argument(level <= max_variable_depth, "the variables of a chat template are nested more than 100 deep");
  std::size_t depth = 0;
  switch (json.type()) {
    case ordered_json::value_t::boolean:
      return value::boolean(json.get<bool>());
    case ordered_json::value_t::number_integer:
      return value::integer(json.get<std::int64_t>());
    case ordered_json::value_t::number_unsigned:
      require_argument(json.get<std::uint64_t>() <= std::uint64_t{std::numeric_limits<std::int64_t>::max()},
                       "a variable of a chat template has an integer beyond 64 bits");
      return value::integer(json.get<std::int64_t>());
    case ordered_json::value_t::number_float:
      return value::real(json.get<double>());
    case ordered_json::value_t::string:
      return text_value(json.get_ref<const std::string&>());
    case ordered_json::value_t::array: {
      std::vector<value> items;
      items.reserve(json.size());
      for (const auto& item : json) {
        items.push_back(value_from_json(item, level + 1));
        depth = std::max(depth, items.back().depth());
      }
      return make_value<jinja::sequence_object>(kind::list, depth + 1, std::move(items));
    }
    case ordered_json::value_t::object: {
      auto entries = dictionary_from_json(json, level, depth);
      return make_value<jinja::dict_object>(kind::dict, depth + 1, std::move(entries));
    }
    default:
      return {};
  }
}

// The system's time in its time zone.
std::tm local_time() {
  const std::time_t now = std::time(nullptr);
  std::tm out{};
  localtime_r(&now, &out);
  return out;
}

// Whether a generation block is anywhere in the statements, those of macros and branches included.
bool contains_generation(const jinja::statements& body);

bool contains_generation(const jinja::statement& s) {
  using namespace jinja;
  return std::visit(
      [](const auto& form) {
        using form_type = std::decay_t<decltype(form)>;
        if constexpr (std::is_same_v<form_type, generation_statement>) {
          return true;
        } else if constexpr (std::is_same_v<form_type, if_statement>) {
          return contains_generation(form.otherwise) ||
                 std::ranges::any_of(form.branches, [](const auto& b) { return contains_generation(b.second); });
        } else if constexpr (std::is_same_v<form_type, for_statement>) {
          return contains_generation(form.body) || contains_generation(form.otherwise);
        } else if constexpr (std::is_same_v<form_type, macro_statement>) {
          return contains_generation(form.macro->body);
        } else if constexpr (requires { form.body; }) {
          return contains_generation(form.body);
        } else {
          return false;
        }
      },
      s.form);
}

bool contains_generation(const jinja::statements& body) {
  return std::ranges::any_of(body, [](const jinja::statement& s) { return contains_generation(s); });
}

}  // namespace

struct chat_template::parsed {
  parsed(std::string_view text, std::string_view name)
      : source(name, text),
        body(jinja::parse_template(source)),
        undefined(jinja::find_undefined_names(body)),
        marked(contains_generation(body)) {}

  jinja::template_source source;
  jinja::statements body;
  jinja::undefined_names undefined;
  bool marked;
};

chat_template::chat_template(std::string_view text, std::string_view name)
    : parsed_(std::make_shared<const parsed>(text, name)) {}

rendered_chat chat_template::render(const ordered_json& variables, const chat_template_options& options) const {
  require_argument(variables.is_object(), "the variables of a chat template must be an object");
  std::size_t depth = 0;
  const auto given = dictionary_from_json(variables, 0, depth);
  const jinja::clock_function now = options.now ? options.now : local_time;
  jinja::interpreter rendering(parsed_->source, parsed_->undefined, given, options.limits, now);
  rendering.render(parsed_->body);
  rendered_chat out{rendering.text(), {}};
  for (const auto& [begin, end] : rendering.generation_spans()) out.generated.push_back({begin, end});
  return out;
}

bool chat_template::marks_generation() const noexcept { return parsed_->marked; }

const std::string& chat_template::name() const noexcept { return parsed_->source.name(); }

}  // namespace coho::trainer
