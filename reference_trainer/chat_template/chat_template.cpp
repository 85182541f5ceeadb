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

constexpr std::size_t deepest_variable = 100;

template <class Object, class Content>
value shared(kind type, std::size_t depth, Content content) {
  auto out = std::make_shared<Object>(std::move(content));
  out->depth = depth;
  return {type, std::move(out)};
}

value text_value(const std::string& words) {
  return shared<jinja::text_object>(kind::text, 0, is_utf8(words) ? words : repair_utf8(words));
}

value value_of(const ordered_json& json, std::size_t level);

jinja::dictionary entries_of(const ordered_json& json, std::size_t level, std::size_t& depth) {
  jinja::dictionary out;
  for (const auto& [name, item] : json.items()) {
    auto converted = value_of(item, level + 1);
    depth = std::max(depth, converted.depth());
    out.set(text_value(name), std::move(converted));
  }
  return out;
}

value value_of(const ordered_json& json, std::size_t level) {
  require_argument(level <= deepest_variable, "the variables of a chat template are nested more than 100 deep");
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
        items.push_back(value_of(item, level + 1));
        depth = std::max(depth, items.back().depth());
      }
      return shared<jinja::sequence_object>(kind::list, depth + 1, std::move(items));
    }
    case ordered_json::value_t::object: {
      auto entries = entries_of(json, level, depth);
      return shared<jinja::dict_object>(kind::dict, depth + 1, std::move(entries));
    }
    default:
      return {};
  }
}

std::tm local_time() {
  const std::time_t now = std::time(nullptr);
  std::tm out{};
  localtime_r(&now, &out);
  return out;
}

bool marks(const jinja::statements& body);

bool marks(const jinja::statement& s) {
  using namespace jinja;
  return std::visit(
      [](const auto& form) {
        using form_type = std::decay_t<decltype(form)>;
        if constexpr (std::is_same_v<form_type, generation_statement>) {
          return true;
        } else if constexpr (std::is_same_v<form_type, if_statement>) {
          return marks(form.otherwise) ||
                 std::ranges::any_of(form.branches, [](const auto& b) { return marks(b.second); });
        } else if constexpr (std::is_same_v<form_type, for_statement>) {
          return marks(form.body) || marks(form.otherwise);
        } else if constexpr (std::is_same_v<form_type, macro_statement>) {
          return marks(form.macro->body);
        } else if constexpr (requires { form.body; }) {
          return marks(form.body);
        } else {
          return false;
        }
      },
      s.form);
}

bool marks(const jinja::statements& body) {
  return std::ranges::any_of(body, [](const jinja::statement& s) { return marks(s); });
}

}  // namespace

struct chat_template::parsed {
  parsed(std::string_view text, std::string_view name)
      : source(name, text), body(jinja::parse(source)), marked(marks(body)) {}

  jinja::template_source source;
  jinja::statements body;
  bool marked;
};

chat_template::chat_template(std::string_view text, std::string_view name)
    : parsed_(std::make_shared<const parsed>(text, name)) {}

rendered_chat chat_template::render(const ordered_json& variables, const chat_template_options& options) const {
  require_argument(variables.is_object(), "the variables of a chat template must be an object");
  std::size_t depth = 0;
  const auto given = entries_of(variables, 0, depth);
  const jinja::clock_function now = options.now ? options.now : local_time;
  jinja::interpreter rendering(parsed_->source, given, options.limits, now);
  rendering.render(parsed_->body);
  rendered_chat out{rendering.text(), {}};
  for (const auto& [begin, end] : rendering.generated()) out.generated.push_back({begin, end});
  return out;
}

bool chat_template::marks_generation() const noexcept { return parsed_->marked; }

const std::string& chat_template::name() const noexcept { return parsed_->source.name(); }

}  // namespace coho::trainer
