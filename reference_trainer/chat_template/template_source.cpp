#include "chat_template/template_source.hpp"

#include <algorithm>

#include "chat_template/errors/template_error.hpp"
#include "text/utf8.hpp"

namespace coho::trainer::jinja {

template_source::template_source(std::string_view name, std::string_view text) : name_(name) {
  if (text.size() > max_template_bytes)
    throw template_error(name, 1, 1, "is longer than " + std::to_string(max_template_bytes) + " bytes");
  text_.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r') {
      text_ += text[i];
    } else {
      text_ += '\n';
      if (i + 1 < text.size() && text[i + 1] == '\n') ++i;
    }
  }
  if (text_.ends_with('\n')) text_.pop_back();
  for (std::size_t at = 0; at < text_.size();) {
    const auto size = utf8_length(std::string_view(text_).substr(at));
    if (size == 0) refuse(at, "is not UTF-8");
    at += size;
  }
}

void template_source::refuse(std::size_t offset, std::string_view cause) const {
  const auto before = std::string_view(text_).substr(0, offset);
  const auto line = static_cast<std::size_t>(std::ranges::count(before, '\n'));
  const auto begin = before.rfind('\n') == before.npos ? 0 : before.rfind('\n') + 1;
  throw template_error(name_, line + 1, count_utf8_characters(before.substr(begin)) + 1, cause);
}

}  // namespace coho::trainer::jinja
