#include "resources/chat_template_file.hpp"

#include <coho/error.hpp>

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

namespace {

// What the template of a name writes for one message.
std::string rendered(const temporary_directory& folder, const std::string& name = "default") {
  const auto found = find_chat_template(folder.path(), name);
  if (!found) return "none";
  nlohmann::ordered_json variables = found->special_tokens;
  variables["messages"] = {{{"role", "user"}, {"content", "hi"}}};
  return found->form.render(variables).text;
}

}  // namespace

TEST_CASE("chat_template_file: a folder without one, or none at all, brings nothing") {
  const temporary_directory folder;
  CHECK(rendered(folder) == "none");
  CHECK_FALSE(find_chat_template({}).has_value());
  CHECK_FALSE(find_chat_template(folder / "missing").has_value());
  write_bytes(folder / "tokenizer_config.json", R"({"bos_token": "<s>", "chat_template": null})");
  CHECK(rendered(folder) == "none");
}

TEST_CASE("chat_template_file: tokenizer_config.json brings one, or several with names, and the special tokens") {
  const temporary_directory folder;
  write_bytes(folder / "special_tokens_map.json", R"({"eos_token": {"content": "<end>"}, "bos_token": "<old>"})");
  write_bytes(folder / "tokenizer_config.json",
              R"({"bos_token": "<s>", "chat_template": "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}"})");
  CHECK(rendered(folder) == "<s>hi<end>");
  CHECK_THROWS_WITH(rendered(folder, "tool_use"), ContainsSubstring("has no chat template of the name \"tool_use\"") &&
                                                      ContainsSubstring("one of default"));
  write_bytes(folder / "tokenizer_config.json",
              R"({"chat_template": [{"name": "default", "template": "a"}, {"name": "rag", "template": "b"}]})");
  CHECK(rendered(folder) == "a");
  CHECK(rendered(folder, "rag") == "b");
}

TEST_CASE("chat_template_file: files of their own come before tokenizer_config.json") {
  const temporary_directory folder;
  write_bytes(folder / "tokenizer_config.json", R"({"chat_template": "config"})");
  write_bytes(folder / "chat_template.jinja", "own");
  CHECK(rendered(folder) == "own");
  std::filesystem::create_directories(folder / "additional_chat_templates");
  write_bytes(folder / "additional_chat_templates/tool_use.jinja", "tools");
  CHECK(rendered(folder, "tool_use") == "tools");
  CHECK_THROWS_WITH(rendered(folder, "rag"), ContainsSubstring("one of default, tool_use"));
}

TEST_CASE("chat_template_file: files of another form are refused with file and field") {
  const temporary_directory folder;
  for (const char* wrong :
       {R"([])", R"("text")", R"({"chat_template": 7})", R"({"chat_template": {"default": "a"}})",
        R"({"chat_template": ["a"]})", R"({"chat_template": [{"name": "a"}]})",
        R"({"chat_template": [{"name": 1, "template": "a"}]})", R"({"chat_template": [{"name": "a", "template": []}]})",
        R"({"chat_template": )", R"({"chat_template": "{% if %}"})", R"({"chat_template": "{{ a"})",
        R"({"chat_template": "{% include 'x' %}"})", R"({"chat_template": "{% for a in b %}"})"}) {
    CAPTURE(wrong);
    write_bytes(folder / "tokenizer_config.json", wrong);
    CHECK_THROWS_AS(find_chat_template(folder.path()), file_error);
    CHECK_THROWS_WITH(find_chat_template(folder.path()), ContainsSubstring("tokenizer_config.json"));
  }
}
