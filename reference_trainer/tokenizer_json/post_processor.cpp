#include "tokenizer_json/post_processor.hpp"

namespace coho::trainer {
namespace {

// The template of a single text: the special tokens before and after the text "A".
void read_template(const json_part& part, text_template& out) {
  bool after = false;
  for (const auto& piece : part.items("single")) {
    if (piece.has("Sequence")) {
      if (after) piece.refuse("is the text a second time", "use a template with one text");
      after = true;
      continue;
    }
    const auto name = piece.at("SpecialToken").text("id");
    const auto known = part.at("special_tokens");
    if (!known.has(name)) part.refuse("names a special token that it does not define: \"" + name + "\"");
    for (const auto& id : known.at(name).items("ids"))
      (after ? out.end : out.begin).push_back(static_cast<token>(id.whole_number()));
  }
}

// Adds the tokens of a processor, or of all of a Sequence.
void read_processor(const json_part& part, text_template& out) {
  // Older files do not name the type.
  const auto type = part.text("type", part.has("single")       ? "TemplateProcessing"
                                      : part.has("processors") ? "Sequence"
                                                               : "");
  if (type == "Sequence") {
    for (const auto& each : part.items("processors")) read_processor(each, out);
  } else if (type == "TemplateProcessing") {
    read_template(part, out);
  } else if (type != "ByteLevel") {
    part.refuse_member("type", "\"" + type + "\" is not a supported post-processor",
                       "supported are TemplateProcessing, ByteLevel, Sequence");
  }
}

}  // namespace

text_template read_text_template(const json_part& part) {
  text_template out;
  read_processor(part, out);
  return out;
}

}  // namespace coho::trainer
