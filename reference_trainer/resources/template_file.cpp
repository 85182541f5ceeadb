#include "resources/template_file.hpp"

#include <cstddef>
#include <string>
#include <string_view>

#include <coho/error.hpp>

#include "files/file_kind.hpp"
#include "files/read_file.hpp"
#include "text/utf8.hpp"
#include "text/white_space.hpp"

namespace coho::trainer {

prompt_template load_template(template_kind kind, const std::filesystem::path& path) {
  // A template has a few kilobytes: the limit keeps a checkpoint given by mistake from being read completely.
  const std::string content = read_file(path, std::size_t{1} << 20);
  refuse_other_kinds(path.string(), content, file_use::text);
  std::string_view rest = content;
  if (rest.starts_with("\xEF\xBB\xBF")) rest.remove_prefix(3);
  if (!is_utf8(rest)) throw file_error(path.string(), "", "is not UTF-8 text", "save it as UTF-8");
  return prompt_template(kind, unify_line_breaks(rest), path.string());
}

}  // namespace coho::trainer
