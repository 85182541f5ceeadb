#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <coho/detail/if_called.hpp>
#include <coho/detail/span_of.hpp>
#include <coho/error.hpp>
#include <coho/packed.hpp>

namespace coho::inline v0_1 {

/// What a prompt template is for, which determines its placeholders.
///
/// | kind | placeholders |
/// |---|---|
/// | judge | UserInstruction, OutputA, OutputB, Definition once each; Dimension once or more |
/// | reward | Input, Output, Dimensions once each |
/// | preference_pretraining | Input, Output once each |
/// | inference | Input once, or none at all |
/// | self_align | Rules, Exemplars, Input, Thoughts, Answer once each |
enum class template_kind : std::uint8_t { judge, reward, preference_pretraining, inference, self_align };

/// A placeholder's name and the text that replaces it.
struct placeholder_value {
  std::string_view name;
  std::string_view value;
};

namespace detail {

/// How often a template of a kind may have a placeholder: once, or as the members say.
struct placeholder_rule {
  std::string_view name;
  bool required = true;
  bool repeats = false;
};

/// The placeholders that a kind has, in static memory.
template <class = detail::if_called>
std::span<const placeholder_rule> placeholder_rules(template_kind kind) noexcept {
  static constexpr placeholder_rule judge[] = {
      {"UserInstruction"}, {"OutputA"}, {"OutputB"}, {"Dimension", true, true}, {"Definition"}};
  static constexpr placeholder_rule reward[] = {{"Input"}, {"Output"}, {"Dimensions"}};
  static constexpr placeholder_rule pretraining[] = {{"Input"}, {"Output"}};
  static constexpr placeholder_rule inference[] = {{"Input", false, false}};
  static constexpr placeholder_rule self_align[] = {{"Rules"}, {"Exemplars"}, {"Input"}, {"Thoughts"}, {"Answer"}};
  switch (kind) {
    case template_kind::judge:
      return span_of(judge);
    case template_kind::reward:
      return span_of(reward);
    case template_kind::preference_pretraining:
      return span_of(pretraining);
    case template_kind::self_align:
      return span_of(self_align);
    case template_kind::inference:
      break;
  }
  return span_of(inference);
}

/// The enumerator as a word, for messages.
inline std::string_view kind_name(template_kind kind) noexcept {
  switch (kind) {
    case template_kind::judge:
      return "judge";
    case template_kind::reward:
      return "reward";
    case template_kind::preference_pretraining:
      return "preference_pretraining";
    case template_kind::self_align:
      return "self_align";
    case template_kind::inference:
      break;
  }
  return "inference";
}

/// ASCII letters, digits and the underscore.
constexpr bool is_identifier_char(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/// Length of `{Name}` at the start of `text`, or 0. A name does not start with a digit.
constexpr std::size_t placeholder_length(std::string_view text) noexcept {
  if (text.size() < 3 || text[0] != '{' || !is_identifier_char(text[1]) || (text[1] >= '0' && text[1] <= '9')) return 0;
  std::size_t end = 1;
  while (end < text.size() && is_identifier_char(text[end])) ++end;
  return end < text.size() && text[end] == '}' ? end + 1 : 0;
}

}  // namespace detail

/// A prompt with placeholders, parsed and checked once.
///
/// `{Name}` is a placeholder; `{{Name}}` is the literal text `{Name}`; every other brace is itself. Values are copied
/// verbatim: braces inside them have no meaning, so text from users is never expanded again. Trailing line breaks of
/// the template are dropped, because the model answers or is read at a prompt's last token.
///
/// Construction throws `file_error`, naming `source_name`, the line and the placeholder, for a placeholder that the
/// kind does not have, one that is repeated where it may not be, and one that is missing.
///
///     coho::prompt_template t(coho::template_kind::reward, text, "reward.txt");
///     std::string prompt = t.render({{"Input", question}, {"Output", answer}, {"Dimensions", lines}});
class prompt_template {
 public:
  template <class = detail::if_called>
  prompt_template(template_kind kind, std::string_view text, std::string_view source_name)
      : kind_(kind), source_name_(source_name), rules_(detail::placeholder_rules(kind)) {
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
    std::vector<std::size_t> uses(rules_.size(), 0);
    std::string literal;
    std::size_t line = 1;
    for (std::size_t i = 0; i < text.size();) {
      const std::string_view rest = text.substr(i);
      if (rest.starts_with("{{")) {
        const auto length = detail::placeholder_length(rest.substr(1));
        if (length != 0 && rest.substr(1 + length).starts_with('}')) {
          literal.append(rest.substr(1, length));
          i += length + 2;
          continue;
        }
      }
      if (const auto length = detail::placeholder_length(rest); length != 0) {
        const auto rule = require_placeholder_index(rest.substr(1, length - 2), line);
        if (++uses[rule] > 1 && !rules_[rule].repeats) {
          throw file_error(source_name_, error_place(line, rules_[rule].name), "the placeholder occurs a second time",
                           "keep one of them");
        }
        pieces_.push_back({std::move(literal), rule});
        literal.clear();
        i += length;
        continue;
      }
      if (rest.front() == '\n') ++line;
      literal.push_back(rest.front());
      ++i;
    }
    tail_ = std::move(literal);
    for (std::size_t rule = 0; rule < rules_.size(); ++rule) {
      if (rules_[rule].required && uses[rule] == 0) {
        throw file_error(source_name_, "placeholder {" + std::string(rules_[rule].name) + "}",
                         "missing from a " + std::string(detail::kind_name(kind_)) + " template",
                         "write it where its text belongs");
      }
    }
  }

  template_kind kind() const noexcept { return kind_; }
  const std::string& source_name() const noexcept { return source_name_; }
  /// Whether the template has the placeholder.
  template <class = detail::if_called>
  bool uses(std::string_view name) const noexcept {
    for (const piece& p : pieces_) {
      if (rules_[p.rule].name == name) return true;
    }
    return false;
  }
  /// The names of the placeholders in order.
  template <class = detail::if_called>
  std::vector<std::string_view> placeholders() const {
    std::vector<std::string_view> out;
    for (const piece& p : pieces_) out.push_back(rules_[p.rule].name);
    return out;
  }
  /// The literal text between a placeholder's first occurrence and the placeholder before it. Empty when the template
  /// has no such placeholder.
  template <class = detail::if_called>
  std::string_view text_before(std::string_view name) const noexcept {
    for (const piece& p : pieces_) {
      if (rules_[p.rule].name == name) return p.before;
    }
    return {};
  }
  /// The literal text before the first placeholder: the prefix that all rendered prompts share.
  std::string_view shared_prefix() const noexcept { return pieces_.empty() ? tail_ : pieces_.front().before; }
  /// The literal text after the last placeholder.
  std::string_view tail() const noexcept { return tail_; }

  /// The prompt with each placeholder replaced. Throws `argument_error` for a placeholder without a value and for a
  /// value whose name the kind does not have; values for placeholders that an inference template omits are ignored.
  template <class = detail::if_called>
  std::string render(std::span<const placeholder_value> values) const {
    for (const auto& value : values) {
      bool known = false;
      for (const auto& rule : rules_) known = known || rule.name == value.name;
      require_argument(known, source_name_ + ": there is no placeholder {" + std::string(value.name) + "} in a " +
                                  std::string(detail::kind_name(kind_)) + " template");
    }
    std::string out;
    for (const piece& p : pieces_) {
      const placeholder_value* found = nullptr;
      for (const auto& value : values) {
        if (found == nullptr && value.name == rules_[p.rule].name) found = &value;
      }
      require_argument(found != nullptr,
                       source_name_ + ": no value for placeholder {" + std::string(rules_[p.rule].name) + "}");
      out.append(p.before).append(found->value);
    }
    return out.append(tail_);
  }
  template <class = detail::if_called>
  std::string render(std::initializer_list<placeholder_value> values) const {
    return render(detail::span_of(values.begin(), values.size()));
  }

 private:
  struct piece {
    std::string before;
    std::size_t rule;
  };

  // Where an error is: "line 3, placeholder {Input}".
  template <class = detail::if_called>
  static std::string error_place(std::size_t line, std::string_view name) {
    return "line " + std::to_string(line) + ", placeholder {" + std::string(name) + "}";
  }

  // The position in `rules_` of a placeholder; `file_error`, listing the kind's, for one that the kind does not have.
  template <class = detail::if_called>
  std::size_t require_placeholder_index(std::string_view name, std::size_t line) const {
    std::string known;
    for (std::size_t rule = 0; rule < rules_.size(); ++rule) {
      if (rules_[rule].name == name) return rule;
      known.append(known.empty() ? "{" : ", {").append(rules_[rule].name).append("}");
    }
    throw file_error(source_name_, error_place(line, name),
                     "unknown in a " + std::string(detail::kind_name(kind_)) + " template, which has " + known,
                     "write {{" + std::string(name) + "}} if the braces are meant as text");
  }

  template_kind kind_;
  std::string source_name_;
  std::span<const detail::placeholder_rule> rules_;
  std::vector<piece> pieces_;
  std::string tail_;
};

}  // namespace coho::inline v0_1
