#include "unicode/text_pattern.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <algorithm>
#include <array>
#include <optional>
#include <pcre2.h>

#include <coho/error.hpp>

#include "text/utf8.hpp"
#include "unicode/ruby_pattern.hpp"

namespace coho::trainer {
namespace {

template <auto Free>
struct deleter {
  template <class T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};

// PCRE2's text for an error code.
std::string pcre2_message(int code) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

PCRE2_SPTR pcre2_units(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

/// What a match writes to, one per thread: expressions backtrack on a stack of their own, so that a long text cannot
/// overflow the thread's.
struct match_workspace {
  std::unique_ptr<pcre2_match_data, deleter<pcre2_match_data_free>> data{pcre2_match_data_create(1, nullptr)};
  std::unique_ptr<pcre2_jit_stack, deleter<pcre2_jit_stack_free>> stack{
      pcre2_jit_stack_create(std::size_t{32} << 10, std::size_t{64} << 20, nullptr)};
  std::unique_ptr<pcre2_match_context, deleter<pcre2_match_context_free>> context{pcre2_match_context_create(nullptr)};

  // Without a stack of its own (which not every system allows) PCRE2 uses 32 KiB.
  match_workspace() {
    if (!data || !context) throw std::bad_alloc();
    if (stack) pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
    // Steps of backtracking, so that an expression with nested repetitions fails instead of running for hours.
    pcre2_set_match_limit(context.get(), 100'000'000);
  }
};

// Kept for the life of the thread: making one costs more than most matches.
match_workspace& thread_workspace() {
  thread_local match_workspace own;
  return own;
}

}  // namespace

struct text_pattern::program {
  pcre2_code* code = nullptr;
  program() = default;
  program(const program&) = delete;
  program& operator=(const program&) = delete;
  ~program() { pcre2_code_free(code); }
};

text_pattern text_pattern::literal(std::string text) {
  text_pattern out;
  out.text_ = std::move(text);
  return out;
}

text_pattern text_pattern::regex(std::string_view expression) {
  const std::string translated = ruby_to_pcre2(expression);
  auto out = std::make_shared<program>();
  int error = 0;
  PCRE2_SIZE at = 0;
  const std::unique_ptr<pcre2_compile_context, deleter<pcre2_compile_context_free>> context(
      pcre2_compile_context_create(nullptr));
  if (!context) throw std::bad_alloc();
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(context.get(), 100);
  // In Ruby ^ and $ are those of lines.
  const std::uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
  out->code = pcre2_compile(pcre2_units(translated), translated.size(), options, &error, &at, context.get());
  if (!out->code)
    throw argument_error("is not a regular expression: " + pcre2_message(error) +
                         (at >= translated.size()
                              ? std::string(" at its end")
                              : " before \"" + repair_utf8(std::string_view(translated).substr(at, 20)) + "\""));
  // Where machine code cannot be made, the expression is interpreted.
  pcre2_jit_compile(out->code, PCRE2_JIT_COMPLETE);
  text_pattern result;
  result.program_ = std::move(out);
  return result;
}

bool text_pattern::search(std::string_view text, std::size_t from, pattern_part& found) const {
  auto& own = thread_workspace();
  const int result = pcre2_match(program_->code, pcre2_units(text), text.size(), from, PCRE2_NO_UTF_CHECK,
                                 own.data.get(), own.context.get());
  if (result == PCRE2_ERROR_NOMATCH) return false;
  if (result < 0)
    throw argument_error("the pattern of tokenizer.json cannot be matched within bounds: " + pcre2_message(result) +
                         "; use a tokenizer without nested repetitions");
  const auto* const ends = pcre2_get_ovector_pointer(own.data.get());
  found = {ends[0], ends[1], true};
  return true;
}

void text_pattern::split_literal(std::string_view text, std::vector<pattern_part>& parts) const {
  std::size_t last = 0;
  for (std::size_t at = 0; !text_.empty() && (at = text.find(text_, at)) != std::string_view::npos;) {
    if (at > last) parts.push_back({last, at, false});
    at += text_.size();
    parts.push_back({at - text_.size(), at, true});
    last = at;
  }
  if (last < text.size()) parts.push_back({last, text.size(), false});
}

void text_pattern::split(std::string_view text, std::vector<pattern_part>& parts) const {
  parts.clear();
  if (!program_) return split_literal(text, parts);
  std::size_t last = 0, from = 0;
  std::optional<std::size_t> last_match;
  for (pattern_part found; from <= text.size() && !text.empty() && search(text, from, found);) {
    // An empty match directly after a match is none.
    if (found.begin == found.end && last_match == found.end) {
      from += std::max<std::size_t>(1, utf8_length(text.substr(std::min(from, text.size()))));
      continue;
    }
    from = found.end;
    last_match = found.end;
    if (found.begin > last) parts.push_back({last, found.begin, false});
    parts.push_back(found);
    last = found.end;
  }
  if (last < text.size()) parts.push_back({last, text.size(), false});
}

std::string text_pattern::replace_all(std::string_view text, std::string_view content) const {
  thread_local std::vector<pattern_part> found;
  split(text, found);
  std::string out;
  out.reserve(text.size());
  for (const auto& part : found) out.append(part.match ? content : text.substr(part.begin, part.end - part.begin));
  return out;
}

}  // namespace coho::trainer
