#include "report/report.hpp"

#include <algorithm>
#include <string_view>

#include "files/atomic_file.hpp"
#include "observe/table.hpp"

namespace coho::trainer {

namespace {

constexpr std::string_view page_style =
    R"(:root { color-scheme:light dark; --page:#f7f7f4; --card:#fff; --text:#1d1d1b; --soft:#5f5e58; --rule:#dddcd6; --good:#16763f; --bad:#b3261e; --new:#d9e9ff; --old:#fbe3d6; }
@media (prefers-color-scheme: dark) { :root { --page:#141519; --card:#1d1e22; --text:#f1f0ec; --soft:#b3b2aa; --rule:#37383f; --good:#4cc27f; --bad:#ff8a80; --new:#1f3a5f; --old:#57301c; } }
* { box-sizing:border-box; }
body { margin:0; background:var(--page); color:var(--text); font:16px/1.5 system-ui, sans-serif; }
main { max-width:1180px; margin:0 auto; padding:2rem 1.25rem 4rem; }
h1 { font-size:1.75rem; line-height:1.2; margin:0; } h2 { font-size:1.25rem; margin:2.5rem 0 .5rem; } h3 { font-size:1rem; margin:0 0 .5rem; }
p { margin:.25rem 0 .75rem; max-width:75ch; } .soft { color:var(--soft); }
.parts .soft { font-size:.875rem; margin:.5rem 0 0; }
.figures { display:grid; grid-template-columns:repeat(auto-fit, minmax(150px, 1fr)); gap:.75rem; margin:1.25rem 0 0; }
.figures div { background:var(--card); border:1px solid var(--rule); border-radius:8px; padding:.75rem 1rem; }
.figures dt { color:var(--soft); font-size:.8125rem; } .figures dd { margin:0; font-size:1.5rem; font-weight:600; }
.parts { display:grid; grid-template-columns:repeat(auto-fill, minmax(min(100%, 460px), 1fr)); gap:1rem; align-items:start; }
.parts > * { background:var(--card); border:1px solid var(--rule); border-radius:8px; padding:1rem; min-width:0; }
.wide { grid-column:1 / -1; }
.scroll { overflow-x:auto; }
table { border-collapse:collapse; width:100%; font-size:.875rem; }
th, td { text-align:left; padding:.3rem .75rem .3rem 0; border-bottom:1px solid var(--rule); vertical-align:top; }
thead th { color:var(--soft); font-weight:600; max-width:13rem; overflow-wrap:break-word; } tbody th { font-weight:400; }
td.number, .chart td { text-align:right; font-variant-numeric:tabular-nums; } thead th.number, .chart thead th:not(:first-child) { text-align:right; }
details { margin-top:.5rem; font-size:.875rem; } details.whole { margin:0; } summary { color:var(--soft); cursor:pointer; }
.held { color:var(--good); font-weight:600; } .missed { color:var(--bad); font-weight:600; }
footer { margin-top:3rem; color:var(--soft); font-size:.875rem; }
@media print { body { background:#fff; } .parts > * { break-inside:avoid; } }
)";

// The heading of a part; nothing without a title.
std::string heading(const std::string& title) { return title.empty() ? "" : "<h3>" + escape_html(title) + "</h3>\n"; }

// The header of a table; numeric columns are right-aligned.
std::string head_row(const std::vector<std::string>& columns, const std::vector<bool>& numeric) {
  std::string out = "<thead><tr>";
  for (std::size_t i = 0; i < columns.size(); ++i) {
    out += std::string("<th scope=\"col\"") + (numeric[i] ? " class=\"number\"" : "") + ">" + escape_html(columns[i]) +
           "</th>";
  }
  return out + "</tr></thead>\n";
}

// Each kind of part as an element of the section's grid.
std::string render_part(const line_chart& chart) { return render(chart); }
std::string render_part(const bar_chart& chart) { return render(chart); }
std::string render_part(const report_samples& samples) { return render(samples); }

// Columns whose cells all look like numbers are right-aligned, except the first.
std::string render_part(const report_table& table) {
  std::vector<bool> numeric(table.columns.size(), !table.rows.empty());
  for (const auto& row : table.rows) {
    for (std::size_t i = 0; i < numeric.size(); ++i) {
      if (i < row.size() && !is_number_cell(row[i])) numeric[i] = false;
    }
  }
  if (!numeric.empty()) numeric[0] = false;
  std::string out = "<div class=\"wide\">\n";
  out += table.folded ? "<details class=\"whole\"><summary>" + escape_html(table.title) + "</summary>\n"
                      : heading(table.title);
  out += "<div class=\"scroll\"><table>\n" + head_row(table.columns, numeric) + "<tbody>\n";
  for (const auto& row : table.rows) {
    out += "<tr>";
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
      const auto cell = i < row.size() ? escape_html(row[i]) : std::string();
      out += i == 0 ? "<th scope=\"row\">" + cell + "</th>"
                    : std::string(numeric[i] ? "<td class=\"number\">" : "<td>") + cell + "</td>";
    }
    out += "</tr>\n";
  }
  out += "</tbody></table></div>\n";
  if (!table.note.empty()) out += "<p class=\"soft\">" + escape_html(table.note) + "</p>\n";
  return out + (table.folded ? "</details>\n</div>\n" : "</div>\n");
}

std::string render_part(const report_checks& checks) {
  auto out = "<div class=\"wide\">\n" + heading(checks.title) + "<div class=\"scroll\"><table>\n" +
             head_row({"figure", "value", "bound", "result"}, {false, true, true, false}) + "<tbody>\n";
  for (const auto& row : checks.rows) {
    out += "<tr><th scope=\"row\">" + escape_html(row.name) + "</th><td class=\"number\">" + escape_html(row.value) +
           "</td><td class=\"number\">" + escape_html(row.bound) + "</td>" +
           (row.held ? "<td class=\"held\">✓ held</td>" : "<td class=\"missed\">✗ missed</td>") + "</tr>\n";
  }
  return out + "</tbody></table></div>\n</div>\n";
}

// Paragraphs of a text in which blank lines separate them.
std::string paragraphs(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto end = text.find("\n\n");
    if (const auto part = text.substr(0, end); !part.empty()) out += "<p>" + escape_html(part) + "</p>\n";
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 2);
  }
  return out;
}

}  // namespace

std::string render(const report& content) {
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>" +
      escape_html(content.title) + "</title>\n<style>\n";
  // The style sheets use only ">" selectors, so they are valid unescaped in XML and in HTML.
  out += page_style;
  out += sample_style();
  out += chart_style();
  out += "</style>\n</head>\n<body>\n<main>\n<header>\n<h1>" + escape_html(content.title) + "</h1>\n";
  if (!content.subtitle.empty()) out += "<p class=\"soft\">" + escape_html(content.subtitle) + "</p>\n";
  out += "</header>\n";
  if (!content.figures.empty()) {
    out += "<dl class=\"figures\">\n";
    for (const auto& [label, value] : content.figures) {
      out += "<div><dt>" + escape_html(label) + "</dt><dd>" + escape_html(value) + "</dd></div>\n";
    }
    out += "</dl>\n";
  }
  for (const auto& section : content.sections) {
    out += "<section>\n<h2>" + escape_html(section.heading) + "</h2>\n" + paragraphs(section.text);
    if (!section.parts.empty()) {
      out += "<div class=\"parts\">\n";
      for (const auto& part : section.parts)
        out += std::visit([](const auto& typed) { return render_part(typed); }, part);
      out += "</div>\n";
    }
    out += "</section>\n";
  }
  if (!content.footer.empty()) out += "<footer>" + escape_html(content.footer) + "</footer>\n";
  return out + "</main>\n</body>\n</html>\n";
}

void write_report(const std::filesystem::path& path, const report& content) { write_file(path, render(content)); }

}  // namespace coho::trainer
