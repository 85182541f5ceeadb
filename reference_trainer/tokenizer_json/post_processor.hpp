#pragma once

#include <vector>

#include <coho/packed.hpp>

#include "files/json_part.hpp"

namespace coho::trainer {

/// The tokens that a post-processor of a tokenizer.json puts before and after a text: TemplateProcessing, ByteLevel
/// (which concerns positions only), and a Sequence of these.
struct text_template {
  std::vector<token> begin, end;
};

/// Throws `file_error` naming what is not supported, or a special token that the template does not define.
text_template read_text_template(const json_part& part);

}  // namespace coho::trainer
