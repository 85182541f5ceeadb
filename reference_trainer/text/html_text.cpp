#include "text/html_text.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdint>
#include <utility>

#include "text/utf8.hpp"
#include "text/white_space.hpp"

namespace coho::trainer {
namespace {

using namespace std::string_view_literals;

constexpr std::array<std::pair<std::string_view, std::string_view>, 24> names{{
    {"amp", "&"},    {"lt", "<"},    {"gt", ">"},    {"quot", "\""}, {"apos", "'"},   {"nbsp", " "},
    {"hellip", "…"}, {"mdash", "—"}, {"ndash", "–"}, {"lsquo", "‘"}, {"rsquo", "’"},  {"ldquo", "“"},
    {"rdquo", "”"},  {"laquo", "«"}, {"raquo", "»"}, {"bull", "•"},  {"middot", "·"}, {"deg", "°"},
    {"times", "×"},  {"euro", "€"},  {"pound", "£"}, {"copy", "©"},  {"reg", "®"},    {"trade", "™"},
}};

char lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }
bool is_letter(char c) { return lower(c) >= 'a' && lower(c) <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> list) {
  return std::ranges::find(list, name) != list.end();
}

// The language in class="hljs language-python".
std::string language_class(std::string_view attributes) {
  constexpr auto mark = "language-"sv;
  const auto at = attributes.find(mark);
  if (at == std::string_view::npos) return {};
  const auto rest = attributes.substr(at + mark.size());
  return std::string(rest.substr(0, rest.find_first_of(" \"'>")));
}

// The text so far. White space of the page is one space; breaks are remembered and written before the next text, so
// that none are at the end.
class html_text_builder {
 public:
  // A tag of no kind listed here has no effect.
  void add_tag(const html_tag& tag) {
    if (is_one_of(tag.name, {"script", "style", "button", "svg"})) {
      skipped_ += tag.closing ? (skipped_ > 0 ? -1 : 0) : 1;
    } else if (tag.name == "pre") {
      add_pre_tag(tag);
    } else if (tag.name == "code") {
      if (!in_pre_)
        append_text("`");
      else if (!tag.closing)
        begin_code_block(language_class(tag.attributes));
    } else if (tag.name == "br") {
      break_lines(1);
    } else if (tag.name == "li") {
      break_lines(1);
      if (!tag.closing) item_ = true;
    } else if (is_one_of(tag.name, {"p", "ul", "ol", "table", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6"})) {
      break_lines(2);
    } else if (is_one_of(tag.name, {"div", "tr", "section", "article", "hr"})) {
      break_lines(1);
    } else if (is_one_of(tag.name, {"td", "th"}) && tag.closing) {
      append_text(" ");
    }
  }

  // Decoded text between tags: verbatim within `pre`, otherwise with runs of white space as one space.
  void append_text(std::string_view piece) {
    if (skipped_ > 0) return;
    if (in_pre_) {
      code_ += piece;
      return;
    }
    for (const char c : piece) {
      const bool space = c == ' ' || c == '\t' || c == '\n' || c == '\r';
      if (space && (text_.empty() || pending_ > 0 || text_.ends_with(' '))) continue;
      if (!space) write_breaks();
      text_ += space ? ' ' : c;
    }
  }

  // The text without white space at its ends; a `pre` that was not closed ends here.
  std::string finish() {
    if (in_pre_) end_code_block();
    return std::string(trim_white_space(text_));
  }

 private:
  // Nested ones are part of the outer one.
  void add_pre_tag(const html_tag& tag) {
    if (!tag.closing && !in_pre_) {
      in_pre_ = true;
      break_lines(2);
    } else if (tag.closing && in_pre_) {
      end_code_block();
    }
  }
  // A page puts the language and a button between <pre> and <code>; they are not part of the code.
  void begin_code_block(std::string language) {
    language_ = std::move(language);
    code_.clear();
  }
  // Writes the code between fences, without empty lines at its ends.
  void end_code_block() {
    in_pre_ = false;
    while (code_.ends_with('\n')) code_.pop_back();
    while (code_.starts_with('\n')) code_.erase(0, 1);
    write_breaks();
    text_ += "```" + std::exchange(language_, {}) + "\n" + std::exchange(code_, {}) + "\n```";
    break_lines(2);
  }
  // At least `count` line breaks before the next text.
  void break_lines(int count) { pending_ = std::max(pending_, count); }
  // Writes the breaks, none at the start of the text, and the mark of a list item.
  void write_breaks() {
    if (pending_ > 0 && !text_.empty()) {
      while (text_.ends_with(' ')) text_.pop_back();
      text_.append(static_cast<std::size_t>(pending_), '\n');
    }
    pending_ = 0;
    if (std::exchange(item_, false)) text_ += "- ";
  }

  std::string text_, code_, language_;
  int pending_ = 0, skipped_ = 0;
  bool in_pre_ = false, item_ = false;
};

}  // namespace

character_reference read_character_reference(std::string_view text) {
  const auto end = text.substr(0, 12).find(';');
  if (!text.starts_with('&') || end == std::string_view::npos || end < 2) return {};
  auto name = text.substr(1, end - 1);
  if (name[0] != '#') {
    const auto found = std::ranges::find(names, name, &std::pair<std::string_view, std::string_view>::first);
    if (found == names.end()) return {};
    return {end + 1, std::string(found->second)};
  }
  name.remove_prefix(1);
  const bool hexadecimal = name.starts_with('x') || name.starts_with('X');
  if (hexadecimal) name.remove_prefix(1);
  std::uint32_t code = 0;
  const auto [stop, problem] = std::from_chars(name.data(), name.data() + name.size(), code, hexadecimal ? 16 : 10);
  const bool character = code > 0 && code <= 0x10FFFF && (code < 0xD800 || code >= 0xE000);
  if (problem != std::errc() || stop != name.data() + name.size() || !character) return {};
  character_reference out{end + 1};
  append_utf8(out.text, code);
  return out;
}

std::string decode_character_references(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto reference = text[0] == '&' ? read_character_reference(text) : character_reference{};
    if (reference.length == 0) {
      const auto next = std::min(text.find('&', 1), text.size());
      out += text.substr(0, next);
      text.remove_prefix(next);
    } else {
      out += reference.text;
      text.remove_prefix(reference.length);
    }
  }
  return out;
}

html_tag read_html_tag(std::string_view text) {
  if (!text.starts_with('<')) return {};
  if (text.starts_with("<!--")) {
    const auto end = text.find("-->");
    return end == std::string_view::npos ? html_tag{} : html_tag{.length = end + 3, .name = "!--"};
  }
  html_tag out{.closing = text.substr(1).starts_with('/')};
  std::size_t at = out.closing ? 2 : 1;
  const auto begin = at;
  while (at < text.size() && (is_letter(text[at]) || (at > begin && is_digit(text[at])))) out.name += lower(text[at++]);
  if (out.name.empty() || at >= text.size() || " \t\r\n/>"sv.find(text[at]) == std::string_view::npos) return {};
  const auto attributes = at;
  // A ">" within quotes does not end a tag.
  for (char quote = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (quote == 0 && c == '>') break;
    if (quote == 0 && c == '<') return {};
    if (quote == 0 ? c == '"' || c == '\'' : c == quote) quote = quote == 0 ? c : '\0';
  }
  if (at >= text.size()) return {};
  out.attributes = text.substr(attributes, at - attributes);
  out.length = at + 1;
  return out;
}

std::string html_to_text(std::string_view html) {
  html_text_builder out;
  bool comments_end = true;  // if one does not end, none after it does; searching each time would finish quadratic time
  while (!html.empty()) {
    const bool comment = html.starts_with("<!--");
    if (html[0] == '<' && (comments_end || !comment)) {
      if (const auto tag = read_html_tag(html); tag.length > 0) {
        out.add_tag(tag);
        html.remove_prefix(tag.length);
        continue;
      }
      if (comment) comments_end = false;
    } else if (html[0] == '&') {
      if (const auto reference = read_character_reference(html); reference.length > 0) {
        out.append_text(reference.text);
        html.remove_prefix(reference.length);
        continue;
      }
    }
    const auto next = std::min(html.find_first_of("<&", 1), html.size());
    out.append_text(html.substr(0, next));
    html.remove_prefix(next);
  }
  return out.finish();
}

}  // namespace coho::trainer
