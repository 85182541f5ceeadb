#include "checkpoint/companion_files.hpp"

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using coho::test::read_bytes;
using coho::test::write_bytes;
namespace fs = std::filesystem;

TEST_CASE("companion_files: tokenizer and generation files go along, and another base's are taken away") {
  const coho::test::temporary_directory folder;
  const fs::path from = folder / "from", to = folder / "to";
  fs::create_directories(from / "chat_templates");
  fs::create_directories(from / "additional_chat_templates");
  fs::create_directories(to / "chat_templates");
  for (const char* name :
       {"tokenizer.model", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
        "chat_template.jinja", "chat_templates/tool.jinja", "additional_chat_templates/rag.jinja"})
    write_bytes(from / name, name);
  write_bytes(from / "model.safetensors", "weights");
  write_bytes(to / "generation_config.json", "an older base's");
  write_bytes(to / "chat_templates/old.jinja", "an older base's");
  write_bytes(to / "metrics.jsonl", "the run's");
  coho::trainer::copy_companion_files(from, to);
  for (const char* name :
       {"tokenizer.model", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
        "chat_template.jinja", "chat_templates/tool.jinja", "additional_chat_templates/rag.jinja"})
    CHECK(read_bytes(to / name) == name);
  CHECK_FALSE(fs::exists(to / "generation_config.json"));
  CHECK_FALSE(fs::exists(to / "chat_templates/old.jinja"));
  CHECK_FALSE(fs::exists(to / "model.safetensors"));
  CHECK(read_bytes(to / "metrics.jsonl") == "the run's");

  coho::trainer::copy_companion_files(from, from);
  CHECK(read_bytes(from / "chat_templates/tool.jinja") == "chat_templates/tool.jinja");
}
