#include "commands/chat_input.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "run/exit_codes.hpp"

namespace coho::trainer {
namespace {

std::atomic<bool> wish{false};
static_assert(std::atomic<bool>::is_always_lock_free);

extern "C" void on_ctrl_c(int) {
  if (wish.exchange(true)) ::_exit(static_cast<int>(exit_code::interrupted));
}

}  // namespace

chat_command parse_command(std::string_view line) {
  constexpr std::string_view blanks = " \t";
  const auto trim = [&](std::string_view text) {
    const auto first = text.find_first_not_of(blanks);
    return first == std::string_view::npos ? std::string_view()
                                           : text.substr(first, text.find_last_not_of(blanks) - first + 1);
  };
  line = trim(line);
  if (!line.starts_with('/')) return {};
  const auto word = line.substr(1, std::min(line.find_first_of(blanks), line.size()) - 1);
  if (word.empty() || !std::ranges::all_of(word, [](char c) { return c >= 'a' && c <= 'z'; })) return {};
  return {.name = std::string(word), .argument = std::string(trim(line.substr(1 + word.size())))};
}

ctrl_c::ctrl_c(bool install) : installed_(install) {
  if (!installed_) return;
  wish = false;
  struct ::sigaction action {};
  action.sa_handler = on_ctrl_c;
  ::sigemptyset(&action.sa_mask);
  action.sa_flags = 0;  // no SA_RESTART: a read of the terminal ends
  ::sigaction(SIGINT, &action, &before_);
}

ctrl_c::~ctrl_c() {
  if (installed_) ::sigaction(SIGINT, &before_, nullptr);
}

bool ctrl_c::has_input(int descriptor) noexcept {
  ::pollfd waiting{.fd = descriptor, .events = POLLIN, .revents = 0};
  return ::poll(&waiting, 1, 100) > 0;
}

bool ctrl_c::pending() const noexcept { return installed_ && wish; }
bool ctrl_c::take() noexcept { return installed_ && wish.exchange(false); }

}  // namespace coho::trainer
