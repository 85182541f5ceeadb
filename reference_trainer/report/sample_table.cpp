#include "report/sample_table.hpp"

#include <algorithm>

#include <coho/error.hpp>

#include "observe/format.hpp"
#include "report/chart.hpp"
#include "report/text_difference.hpp"
#include "text/utf8.hpp"

namespace coho::trainer {

namespace {

constexpr std::size_t shown_columns = 600, shown_of_prompt = 240;  // of a text before it is folded
constexpr std::size_t most_bytes = 20'000;                         // of a text at all

enum class side { before, after };

std::string marked(std::string_view text, bool changed, side which) {
  if (!changed) return escape_html(text);
  return which == side::after ? "<ins>" + escape_html(text) + "</ins>" : "<del>" + escape_html(text) + "</del>";
}

// The longest prefix within the limit that ends between characters.
std::string cut(std::string_view text) {
  if (text.size() <= most_bytes) return std::string(text);
  std::size_t end = 0;
  for (std::size_t next = 0; next <= most_bytes; next += std::max<std::size_t>(1, utf8_length(text.substr(end))))
    end = next;
  return std::string(text.substr(0, end)) + "\n… (" + std::to_string(text.size() - end) + " more bytes)";
}

// The width of a text in columns; a line break counts as the rest of its line.
constexpr std::size_t line_break = 40;
std::size_t room_of(std::string_view text) {
  return display_width(text) + line_break * static_cast<std::size_t>(std::ranges::count(text, '\n'));
}

// The part of a text that fits: whole lines, then words.
std::string_view beginning(std::string_view text, std::size_t room) {
  std::size_t end = 0;
  for (auto next = text.find('\n'); next != std::string_view::npos; next = text.find('\n', end)) {
    const auto line = room_of(text.substr(end, next + 1 - end));
    if (line > room) break;
    room -= line;
    end = next + 1;
  }
  const auto line = text.substr(end, text.find('\n', end) - end);
  auto head = first_columns(line, room);
  if (const auto space = head.rfind(' '); head.size() < line.size() && space != std::string_view::npos)
    head = head.substr(0, space);
  return text.substr(0, end + head.size());
}

// The beginning is shown, the rest is folded.
std::string folded(const std::vector<text_piece>& pieces, side which, std::size_t limit = shown_columns) {
  std::size_t all = 0;
  for (const auto& piece : pieces) all += room_of(piece.text);
  if (all <= limit * 5 / 4) limit = all;
  std::string open, rest;
  bool full = false;
  for (const auto& piece : pieces) {
    std::string_view text = piece.text;
    if (!full) {
      const auto head = room_of(text) <= limit ? text : beginning(text, limit);
      full = head.size() < text.size();
      limit -= std::min(limit, room_of(head));
      if (!head.empty()) open += marked(head, piece.changed, which);
      text.remove_prefix(head.size());
    }
    if (!text.empty()) rest += marked(text, piece.changed, which);
  }
  if (rest.empty()) return open;
  return open + "<details class=\"rest\"><summary>more</summary>" + rest + "</details>";
}

std::string caption(const std::string& text) {
  return text.empty() ? "" : "<p class=\"soft\">" + escape_html(text) + "</p>";
}

std::string cell(const report_samples& samples, const report_samples::row& row, std::size_t column) {
  const auto text_of = [&](std::size_t i) {
    return i < row.responses.size() ? cut(repair_utf8(row.responses[i])) : "";
  };
  const auto own = text_of(column);
  std::vector<text_piece> pieces{{own, false}};
  side which = side::after;
  if (!samples.compared_with.empty()) {
    std::vector<std::size_t> others;
    for (std::size_t i = 0; i < samples.compared_with.size(); ++i)
      if (i != column && samples.compared_with[i] == column) others.push_back(i);
    if (const auto base = samples.compared_with[column]; base != column) {
      pieces = compare_texts(text_of(base), own).after;
    } else if (others.size() == 1) {
      pieces = compare_texts(own, text_of(others.front())).before;
      which = side::before;
    }
  }
  return folded(pieces, which) + (column < row.captions.size() ? caption(row.captions[column]) : "");
}

}  // namespace

std::string render(const report_samples& samples) {
  require_argument(samples.compared_with.empty() || samples.compared_with.size() == samples.columns.size(),
                   "samples " + samples.title + ": compared_with needs one entry for each column");
  for (const auto base : samples.compared_with)
    require_argument(base < samples.columns.size(), "samples " + samples.title + ": compared with an unknown column");
  std::string out = "<div class=\"wide\">\n";
  if (!samples.title.empty()) out += "<h3>" + escape_html(samples.title) + "</h3>\n";
  out += "<div class=\"scroll\"><table class=\"samples\">\n<thead><tr><th scope=\"col\">prompt</th>";
  for (const auto& column : samples.columns) out += "<th scope=\"col\">" + escape_html(column) + "</th>";
  out += "</tr></thead>\n<tbody>\n";
  for (const auto& row : samples.rows) {
    out += "<tr><th scope=\"row\">" + folded({{cut(repair_utf8(row.prompt)), false}}, side::after, shown_of_prompt) +
           caption(row.caption) + "</th>";
    for (std::size_t i = 0; i < samples.columns.size(); ++i) out += "<td>" + cell(samples, row, i) + "</td>";
    out += "</tr>\n";
  }
  out += "</tbody></table></div>\n";
  if (!samples.note.empty()) out += "<p class=\"soft\">" + escape_html(samples.note) + "</p>\n";
  return out + "</div>\n";
}

std::string_view sample_style() {
  return R"(.samples td, .samples th { white-space:pre-wrap; overflow-wrap:anywhere; min-width:13rem; } .samples thead th { white-space:normal; }
.samples p.soft { margin:.35rem 0 0; font-size:.75rem; white-space:normal; }
.samples details { margin:.25rem 0 0; font-size:inherit; } .samples summary { font-size:.8125rem; }
ins { text-decoration:none; background:var(--new); box-shadow:0 1px 0 var(--text); border-radius:2px; }
del { text-decoration:line-through; text-decoration-thickness:1px; background:var(--old); border-radius:2px; }
)";
}

}  // namespace coho::trainer
