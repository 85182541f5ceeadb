#pragma once

#include <cctype>
#include <string>
#include <string_view>
#include <vector>

namespace coho::test {

/// What keeps a piece of markup from being well-formed XML (unbalanced tags, unquoted or repeated attributes, bare "&"
/// or
/// "<"), or an empty string. Knows elements, attributes, the five entities, numeric references and a leading document
/// type.
inline std::string markup_error(std::string_view text) {
  const auto near = [&](std::size_t at) { return " near \"" + std::string(text.substr(at, 40)) + "\""; };
  std::vector<std::string> open;
  const auto check_entities = [&](std::string_view part) {
    for (auto at = part.find('&'); at != std::string_view::npos; at = part.find('&', at + 1)) {
      const auto end = part.find(';', at);
      if (end == std::string_view::npos || end - at > 8) return false;
      const auto name = part.substr(at + 1, end - at - 1);
      if (name != "amp" && name != "lt" && name != "gt" && name != "quot" && name != "apos" && !name.starts_with('#'))
        return false;
    }
    return true;
  };
  std::size_t at = 0;
  if (text.starts_with("<!DOCTYPE html>")) at = 15;
  while (at < text.size()) {
    const auto tag = text.find('<', at);
    if (!check_entities(text.substr(at, tag == std::string_view::npos ? tag : tag - at)))
      return "bad entity" + near(at);
    if (tag == std::string_view::npos) break;
    std::size_t i = tag + 1;
    const bool closing = i < text.size() && text[i] == '/';
    if (closing) ++i;
    std::string name;
    while (i < text.size() && (std::isalnum(static_cast<unsigned char>(text[i])) || text[i] == '-')) name += text[i++];
    if (name.empty()) return "bare <" + near(tag);
    std::vector<std::string> attributes;
    bool self_closed = false;
    for (;;) {
      while (i < text.size() && std::isspace(static_cast<unsigned char>(text[i]))) ++i;
      if (i >= text.size()) return "tag is not closed" + near(tag);
      if (text[i] == '>') break;
      if (text[i] == '/') {
        self_closed = true;
        ++i;
        continue;
      }
      std::string attribute;
      while (i < text.size() && (std::isalnum(static_cast<unsigned char>(text[i])) || text[i] == '-' || text[i] == ':'))
        attribute += text[i++];
      if (attribute.empty() || text.substr(i, 2) != "=\"") return "attribute without a quoted value" + near(tag);
      const auto end = text.find('"', i + 2);
      if (end == std::string_view::npos) return "attribute is not closed" + near(tag);
      const auto value = text.substr(i + 2, end - i - 2);
      if (value.find('<') != std::string_view::npos || !check_entities(value))
        return "attribute is not escaped" + near(tag);
      for (const auto& other : attributes) {
        if (other == attribute) return "attribute is repeated" + near(tag);
      }
      attributes.push_back(attribute);
      i = end + 1;
    }
    if (closing) {
      if (open.empty() || open.back() != name)
        return "</" + name + "> does not close <" + (open.empty() ? "" : open.back()) + ">" + near(tag);
      open.pop_back();
    } else if (!self_closed) {
      open.push_back(name);
    }
    at = i + 1;
  }
  return open.empty() ? "" : "<" + open.back() + "> is not closed";
}

}  // namespace coho::test
