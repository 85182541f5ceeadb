#include "benchmarks/question_wording.hpp"

#include <algorithm>
#include <utility>

#include <coho/error.hpp>

#include "files/file_kind.hpp"
#include "files/read_file.hpp"

namespace coho::trainer {

question_wording::question_wording(std::string_view text, std::string_view source_name,
                                   const std::vector<std::string>& placeholders) {
  while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
  std::vector<std::pair<std::size_t, std::size_t>> places;
  for (std::size_t i = 0; i < placeholders.size(); ++i) {
    const auto& name = placeholders[i];
    const auto at = text.find(name);
    if (at == std::string_view::npos)
      throw file_error(source_name, "placeholder " + name, "missing", "write it where its text belongs");
    if (text.find(name, at + 1) != std::string_view::npos)
      throw file_error(source_name, "placeholder " + name, "occurs a second time", "keep one of them");
    places.emplace_back(at, i);
  }
  std::ranges::sort(places);
  std::size_t from = 0;
  for (const auto& [at, i] : places) {
    texts_.emplace_back(text.substr(from, at - from));
    placeholders_.push_back(i);
    from = at + placeholders[i].size();
  }
  texts_.emplace_back(text.substr(from));
  if (texts_.back().empty())
    throw file_error(source_name, "", "ends with a placeholder",
                     "end it with words that the model's answer can follow");
}

question_wording question_wording::from_file(const std::filesystem::path& path,
                                             const std::vector<std::string>& placeholders) {
  const std::string content = read_file(path, std::size_t{1} << 20);
  refuse_other_kinds(path.string(), content, file_use::text);
  return {content, path.string(), placeholders};
}

std::string question_wording::operator()(const std::vector<std::string_view>& values) const {
  require_argument(values.size() == placeholders_.size(), "question wording: one value per placeholder is needed");
  std::string out;
  for (std::size_t i = 0; i < placeholders_.size(); ++i) out.append(texts_[i]).append(values[placeholders_[i]]);
  return out.append(texts_.back());
}

}  // namespace coho::trainer
