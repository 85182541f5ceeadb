#pragma once

#include <csignal>
#include <cstddef>
#include <string>
#include <string_view>

namespace coho::trainer {

/// A line that a chat takes as a command: a slash and a word of letters ("/save talk.jsonl"). What begins otherwise, a
/// path like "/etc/hosts" included, is a question.
struct chat_command {
  std::string name;      ///< "save"; empty: the line is a question
  std::string argument;  ///< what follows, without white space around it
};
chat_command parse_command(std::string_view line);

/// While one lives, Ctrl-C (SIGINT) is a wish that `take` hands over, not the end of the program; a second one that
/// comes before the first was taken ends it with status 130. The handler that was there before comes back. One at a
/// time.
class ctrl_c {
 public:
  explicit ctrl_c(bool install);
  ~ctrl_c();
  ctrl_c(const ctrl_c&) = delete;
  ctrl_c& operator=(const ctrl_c&) = delete;

  bool pending() const noexcept;
  /// Waits at most a tenth of a second for input, or the end of input, at a descriptor. Whoever asks again and again
  /// sees a Ctrl-C that comes at any moment; a blocking read would miss one just before it.
  static bool has_input(int descriptor) noexcept;
  /// Whether one is pending, which it is then no longer.
  bool take() noexcept;

 private:
  bool installed_;
  struct ::sigaction before_ {};
};

}  // namespace coho::trainer
