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

// The text of a comparison in which words are marked: as removed before, as new after.
enum class side { before, after };

// Escaped text, marked if the other text lacks it.
std::string mark_html(std::string_view text, bool changed, side which) {
  if (!changed) return escape_html(text);
  return which == side::after ? "<ins>" + escape_html(text) + "</ins>" : "<del>" + escape_html(text) + "</del>";
}

// The longest prefix within the limit that ends between characters.
std::string truncate_bytes(std::string_view text) {
  if (text.size() <= most_bytes) return std::string(text);
  std::size_t end = 0;
  for (std::size_t next = 0; next <= most_bytes; next += std::max<std::size_t>(1, utf8_length(text.substr(end))))
    end = next;
  return std::string(text.substr(0, end)) + "\n… (" + std::to_string(text.size() - end) + " more bytes)";
}

// The width of a text in columns; a line break counts as the rest of its line.
constexpr std::size_t line_break = 40;
std::size_t columns_of_text(std::string_view text) {
  return display_width(text) + line_break * static_cast<std::size_t>(std::ranges::count(text, '\n'));
}

// The part of a text that fits: whole lines, then words.
std::string_view fitting_beginning(std::string_view text, std::size_t room) {
  std::size_t end = 0;
  for (auto next = text.find('\n'); next != std::string_view::npos; next = text.find('\n', end)) {
    const auto line = columns_of_text(text.substr(end, next + 1 - end));
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

// A text of which the beginning is shown and the rest folded. A quarter more than `limit` columns is shown whole.
std::string fold_html(const std::vector<text_piece>& pieces, side which, std::size_t limit = shown_columns) {
  std::size_t all = 0;
  for (const auto& piece : pieces) all += columns_of_text(piece.text);
  if (all <= limit * 5 / 4) limit = all;
  std::string open, rest;
  bool full = false;
  for (const auto& piece : pieces) {
    std::string_view text = piece.text;
    if (!full) {
      const auto head = columns_of_text(text) <= limit ? text : fitting_beginning(text, limit);
      full = head.size() < text.size();
      limit -= std::min(limit, columns_of_text(head));
      if (!head.empty()) open += mark_html(head, piece.changed, which);
      text.remove_prefix(head.size());
    }
    if (!text.empty()) rest += mark_html(text, piece.changed, which);
  }
  if (rest.empty()) return open;
  return open + "<details class=\"rest\"><summary>more</summary>" + rest + "</details>";
}

// The small line below a text; nothing if it is empty.
std::string caption_html(const std::string& text) {
  return text.empty() ? "" : "<p class=\"soft\">" + escape_html(text) + "</p>";
}

// A response with the words marked that its counterpart lacks, and its caption.
std::string cell_html(const report_samples& samples, const report_samples::row& row, std::size_t column) {
  const auto response = [&](std::size_t i) {
    return i < row.responses.size() ? truncate_bytes(repair_utf8(row.responses[i])) : "";
  };
  const auto own = response(column);
  std::vector<text_piece> pieces{{own, false}};
  side which = side::after;
  if (!samples.compared_with.empty()) {
    std::vector<std::size_t> others;
    for (std::size_t i = 0; i < samples.compared_with.size(); ++i)
      if (i != column && samples.compared_with[i] == column) others.push_back(i);
    if (const auto base = samples.compared_with[column]; base != column) {
      pieces = compare_texts(response(base), own).after;
    } else if (others.size() == 1) {
      pieces = compare_texts(own, response(others.front())).before;
      which = side::before;
    }
  }
  return fold_html(pieces, which) + (column < row.captions.size() ? caption_html(row.captions[column]) : "");
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
    out += "<tr><th scope=\"row\">" +
           fold_html({{truncate_bytes(repair_utf8(row.prompt)), false}}, side::after, shown_of_prompt) +
           caption_html(row.caption) + "</th>";
    for (std::size_t i = 0; i < samples.columns.size(); ++i) out += "<td>" + cell_html(samples, row, i) + "</td>";
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
