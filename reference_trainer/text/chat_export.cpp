#include "text/chat_export.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <optional>
#include <vector>

#include "text/html_text.hpp"
#include "text/white_space.hpp"

namespace coho::trainer {
namespace {

constexpr std::string_view button = "Copy code";

// What pages put before the button if there is no fence; a word not listed here belongs to the message.
constexpr std::array<std::string_view, 34> languages{
    "",     "python", "javascript", "typescript", "java",    "c",     "cpp",     "c++",  "csharp",
    "css",  "html",   "xml",        "json",       "yaml",    "bash",  "shell",   "sh",   "sql",
    "php",  "ruby",   "go",         "rust",       "kotlin",  "swift", "r",       "scss", "lua",
    "perl", "scala",  "dart",       "matlab",     "arduino", "vbnet", "markdown"};

// CSS classes of the pages that exports were copied from.
constexpr std::array<std::string_view, 8> page_classes{"markdown prose", "whitespace-pre-wrap", "flex-col", "flex-grow",
                                                       "min-h-",         "overflow-y-auto",     "bg-black", "hljs"};

bool is_block_tag(std::string_view name) {
  return name == "div" || name == "p" || name == "span" || name == "pre" || name == "ul" || name == "ol" ||
         (name.size() == 2 && name[0] == 'h' && name[1] >= '1' && name[1] <= '6');
}

// Whether the whole text is within one pair of block tags or begins and ends with such tags.
bool is_html_fragment(std::string_view text) {
  text = trim_white_space(text);
  const auto first = read_html_tag(text);
  const auto last_at = text.rfind('<');
  if (first.length == 0 || first.closing || !is_block_tag(first.name) || !text.ends_with('>')) return false;
  const auto last = read_html_tag(text.substr(last_at));
  return last.closing && is_block_tag(last.name) && last_at + last.length == text.size();
}

// A message about HTML or Markdown keeps its references and fences as it wrote them.
bool mentions_markup(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::ranges::any_of(std::array{"html", "xml", "entit", "escape", "```"},
                             [&](const char* word) { return lower.find(word) != std::string::npos; });
}

// Whether the whole message was HTML-escaped: then it has no bare "<" or "&".
bool is_html_escaped(std::string_view text) {
  if (text.find('<') != std::string_view::npos || mentions_markup(text)) return false;
  bool any = false;
  for (auto at = text.find('&'); at != std::string_view::npos; at = text.find('&', at + 1)) {
    if (read_character_reference(text.substr(at)).length == 0) return false;
    any = true;
  }
  return any;
}

// Removes `div` and `span` with a class of the page, and the closing tags that belong to them; other tags stay.
std::string remove_page_tags(std::string_view text) {
  std::string out;
  std::vector<std::string> open;  // the page's tags that were removed
  while (!text.empty()) {
    // Comments stay: their end may be far away, so it is not searched for.
    const auto tag = text[0] == '<' && !text.starts_with("<!--") ? read_html_tag(text) : html_tag{};
    const bool of_page = tag.length > 0 && !tag.closing && (tag.name == "div" || tag.name == "span") &&
                         std::ranges::any_of(page_classes, [&](std::string_view name) {
                           return tag.attributes.find(name) != std::string_view::npos;
                         });
    if (of_page) open.push_back(tag.name);
    const bool closes = tag.closing && !open.empty() && open.back() == tag.name;
    if (closes) open.pop_back();
    const auto length = of_page || closes ? tag.length : std::min(text.find('<', 1), text.size());
    if (!of_page && !closes) out += text.substr(0, length);
    text.remove_prefix(length);
  }
  return out;
}

// The word if it is one that pages put before the button; "" is one.
std::optional<std::string_view> code_language(std::string_view word) {
  const auto found = std::ranges::find(languages, word);
  return found == languages.end() ? std::nullopt : std::optional(*found);
}

// "Copy123 chars / 20 words" as the page counts them.
bool is_copy_count(std::string_view line) {
  const auto middle = line.find(" chars / ");
  if (!line.starts_with("Copy") || middle == std::string_view::npos || !line.ends_with(" words")) return false;
  const auto digits = [](std::string_view part) {
    return !part.empty() && std::ranges::all_of(part, [](unsigned char c) { return std::isdigit(c) != 0; });
  };
  return digits(line.substr(4, middle - 4)) && digits(line.substr(middle + 9, line.size() - 6 - middle - 9));
}

// "2 / 3": version 2 of 3.
bool is_version_pager(std::string_view line) {
  int version = 0, versions = 0;
  const char* const end = line.data() + line.size();
  const auto first = std::from_chars(line.data(), end, version);
  if (first.ec != std::errc() || !std::string_view(first.ptr, end).starts_with(" / ")) return false;
  const auto second = std::from_chars(first.ptr + 3, end, versions);
  return second.ec == std::errc() && second.ptr == end && version >= 1 && version <= versions && versions <= 99;
}

// A line without the button; nothing if the line had only the button.
std::optional<std::string> remove_copy_button(std::string_view line) {
  const auto at = line.find(button);
  if (at == std::string_view::npos) return is_copy_count(line) ? std::nullopt : std::optional(std::string(line));
  const auto before = line.substr(0, at), after = line.substr(at + button.size());
  if (before.starts_with("```")) {
    const auto language = trim_white_space(before.substr(3));
    if (language.find(' ') != std::string_view::npos) return std::string(line);
    const auto rest = std::string(trim_white_space(after).empty() ? std::string_view() : after);
    return "```" + std::string(language) + (rest.empty() ? "" : "\n" + rest);
  }
  // "Copy code from a book" is the message's own text: the button is followed by code or by nothing.
  if (!code_language(before) || (before.empty() && !trim_white_space(after).empty())) return std::string(line);
  if (trim_white_space(after).empty()) return std::nullopt;
  return std::string(after);
}

}  // namespace

std::string clean_chat_export(std::string_view message) {
  const std::string text = is_html_fragment(message)  ? html_to_text(message)
                           : is_html_escaped(message) ? decode_character_references(message)
                                                      : remove_page_tags(message);
  std::vector<std::string> lines;
  for (std::size_t at = 0; at <= text.size();) {
    const auto end = std::min(text.find('\n', at), text.size());
    auto line = std::string_view(text).substr(at, end - at);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (auto kept = remove_copy_button(line)) lines.push_back(std::move(*kept));
    at = end + 1;
  }
  const auto blank = [](const std::string& line) { return trim_white_space(line).empty(); };
  while (!lines.empty() && blank(lines.back())) lines.pop_back();
  // A line on its own is a message, and without an empty line between it may be a fraction that the message asks about.
  const auto count = lines.size();
  if (count > 2 && is_version_pager(lines[count - 1]) && blank(lines[count - 2])) lines.pop_back();
  if (lines.size() > 2 && is_version_pager(lines[0]) && blank(lines[1])) lines.erase(lines.begin());
  std::string out;
  for (const auto& line : lines) out += (out.empty() ? "" : "\n") + line;
  return out;
}

}  // namespace coho::trainer
