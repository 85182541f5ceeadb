#include "checkpoint/companion_files.hpp"

#include "files/atomic_file.hpp"

namespace coho::trainer {

namespace fs = std::filesystem;

void copy_companion_files(const fs::path& from, const fs::path& to) {
  std::error_code none;
  if (fs::equivalent(from, to, none)) return;
  for (const char* name : {"tokenizer.model", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
                           "added_tokens.json", "chat_template.jinja", "generation_config.json"}) {
    if (fs::is_regular_file(from / name, none))
      copy_atomically(from / name, to / name);
    else
      fs::remove(to / name, none);
  }
  // Named chat templates; the second is the folder's name in older versions of transformers.
  for (const char* templates : {"additional_chat_templates", "chat_templates"}) {
    fs::remove_all(to / templates, none);
    if (!fs::is_directory(from / templates, none)) continue;
    fs::create_directories(to / templates);
    for (const auto& entry : fs::directory_iterator(from / templates))
      if (entry.is_regular_file(none)) copy_atomically(entry.path(), to / templates / entry.path().filename());
  }
}

}  // namespace coho::trainer
