#include "run/interruption.hpp"

#include <atomic>
#include <poll.h>
#include <unistd.h>

#include "run/exit_codes.hpp"

namespace coho::trainer {
namespace {

// Signals to the program, Ctrl-C during a chat, and what the ranks agreed on.
std::atomic<bool> interrupted_flag{false}, ctrl_c_flag{false}, agreed_stop{false};
static_assert(std::atomic<bool>::is_always_lock_free);

// Sets the flag; the second signal ends the process.
template <std::atomic<bool>& Flag>
void on_signal(int) {
  if (Flag.exchange(true)) ::_exit(static_cast<int>(exit_code::interrupted));
}

// Installs a handler without SA_RESTART, so that a signal ends a read of the terminal; `before` gets the former one.
void set_signal_handler(int signal, void (*handler)(int), struct ::sigaction* before = nullptr) {
  struct ::sigaction action {};
  action.sa_handler = handler;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(signal, &action, before);
}

}  // namespace

void install_interrupt_handlers() {
  set_signal_handler(SIGINT, on_signal<interrupted_flag>);
  set_signal_handler(SIGTERM, on_signal<interrupted_flag>);
  ::signal(SIGPIPE, SIG_IGN);
}

bool interrupted() noexcept { return interrupted_flag || agreed_stop; }

void set_interrupted(bool value) noexcept {
  interrupted_flag = value;
  agreed_stop = false;
}

void agree_to_stop() noexcept { agreed_stop = true; }

ctrl_c::ctrl_c(bool install) : installed_(install) {
  if (!installed_) return;
  ctrl_c_flag = false;
  set_signal_handler(SIGINT, on_signal<ctrl_c_flag>, &before_);
}

ctrl_c::~ctrl_c() {
  if (installed_) ::sigaction(SIGINT, &before_, nullptr);
}

bool ctrl_c::has_input(int descriptor) noexcept {
  ::pollfd waiting{.fd = descriptor, .events = POLLIN, .revents = 0};
  return ::poll(&waiting, 1, 100) > 0;
}

bool ctrl_c::pending() const noexcept { return installed_ && ctrl_c_flag; }
bool ctrl_c::consume() noexcept { return installed_ && ctrl_c_flag.exchange(false); }

}  // namespace coho::trainer
