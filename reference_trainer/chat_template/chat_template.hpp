#pragma once

#include <cstddef>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "chat_template/errors/template_error.hpp"
#include "chat_template/values/template_limits.hpp"

namespace coho::trainer {

/// Bytes of a text, from `begin` to before `end`.
struct text_span {
  std::size_t begin = 0, end = 0;
  bool operator==(const text_span&) const = default;
};

struct rendered_chat {
  std::string text;
  /// What was written between {% generation %} and {% endgeneration %}: the tokens of an assistant to train on.
  std::vector<text_span> generated;
};

struct chat_template_options {
  template_limits limits{};
  /// The local time for `strftime_now`; by default that of the system.
  std::function<std::tm()> now{};
};

/// A model's chat template: the text of `chat_template` in tokenizer_config.json, or of chat_template.jinja. It renders
/// the text that Jinja 3.1 renders in transformers' `apply_chat_template`, from the same variables. Copies share what
/// was read; rendering is const and safe from several threads.
///
///     const chat_template form("{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}");
///     form.render({{"messages", {{{"role", "user"}, {"content", "Hi"}}}}}).text;  // "[user] Hi\n"
///
/// A template can reach nothing but its variables and the clock, and `template_limits` bounds what it may use.
class chat_template {
 public:
  /// `name` is used in messages only. Throws `template_error` for what is malformed, and for what is not supported:
  /// filters, tests and functions that chat templates have no use for, recursive loops, and tags that load other
  /// templates or call macros with a block.
  explicit chat_template(std::string_view text, std::string_view name = "chat_template");

  /// The variables are an object; its order and that of all objects in it is kept, as `tojson` shows it. Those of
  /// transformers are messages, tools, documents (null if there are none), add_generation_prompt, bos_token, eos_token
  /// and the other special tokens. Throws `template_error` if rendering fails, `argument_error` for variables that are
  /// not an object, nested more than 100 deep, or with integers beyond 64 bits.
  rendered_chat render(const nlohmann::ordered_json& variables, const chat_template_options& options = {}) const;

  /// Whether the template marks what the assistant says by generation tags.
  bool marks_generation() const noexcept;
  /// As the constructor got it.
  const std::string& name() const noexcept;

 private:
  struct parsed;
  std::shared_ptr<const parsed> parsed_;
};

}  // namespace coho::trainer
