#include "evaluation/evaluation_samples.hpp"

#include <fstream>
#include <optional>

#include <nlohmann/json.hpp>

#include "files/atomic_file.hpp"
#include "observe/format.hpp"
#include "observe/table.hpp"
#include "text/utf8.hpp"

namespace coho::trainer {
namespace {

// The step of a line that `write_samples` wrote; nothing for other lines.
std::optional<std::uint64_t> read_step(const std::string& line) {
  const json value = json::parse(line, nullptr, false);
  const bool ours = value.is_object() && value.contains("step") && value["step"].is_number_unsigned();
  return ours ? std::optional(value["step"].get<std::uint64_t>()) : std::nullopt;
}

// A line of the file of samples.
json to_json(const evaluation_sample& sample) {
  return {{"step", sample.step},
          {"prompt", sample.prompt},
          {"type", name_of(sample.type)},
          {"response", sample.response},
          {"score", sample.score},
          {"finished", sample.finished},
          {"language_match", sample.language_match}};
}

// A sample in the columns of `headings`.
std::vector<std::string> table_cells(const evaluation_sample& sample) {
  return {repair_utf8(sample.prompt), repair_utf8(sample.response), format_number(sample.score, 2),
          sample.finished ? "yes" : "no", sample.language_match ? "same" : "other"};
}

const std::vector<std::string> headings{"prompt", "response", "score", "finished", "language"};

// Replaces what would end a cell or a row of a Markdown table, or make a link or an image of what a model wrote.
std::string escape_cell(const std::string& cell) {
  std::string out;
  for (const char c : cell) {
    if (c == '|') {
      out += "\\|";
    } else if (c == '\n') {
      out += "<br>";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '[' || c == '!') {
      out += c == '[' ? "&#91;" : "&#33;";
    } else if (c != '\r') {
      out += c;
    }
  }
  return out;
}

// A row of a Markdown table.
std::string markdown_row(const std::vector<std::string>& cells) {
  std::string out = "|";
  for (const auto& cell : cells) out += " " + escape_cell(cell) + " |";
  return out + "\n";
}

}  // namespace

bool is_samples_file(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  return std::getline(file, line) && read_step(line).has_value();
}

void write_samples(const std::filesystem::path& path, std::uint64_t step, std::span<const evaluation_sample> samples) {
  atomic_file file(path);
  std::ifstream before(path);
  bool empty = samples.empty();
  for (std::string line; std::getline(before, line);) {
    const auto line_step = read_step(line);
    if (!line_step || *line_step >= step) continue;
    file.write(line + "\n");
    empty = false;
  }
  if (empty) {
    std::filesystem::remove(path);
    return;
  }
  for (const auto& sample : samples)
    file.write(to_json(sample).dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
  file.commit();
}

std::string samples_table(std::span<const evaluation_sample> samples) {
  text_table table(headings);
  for (const auto& sample : samples) table.add_row(table_cells(sample));
  return table.text(48);
}

std::string samples_markdown(std::span<const evaluation_sample> samples) {
  std::string out = markdown_row(headings) + "| --- | --- | ---: | --- | --- |\n";
  for (const auto& sample : samples) out += markdown_row(table_cells(sample));
  return out;
}

}  // namespace coho::trainer
