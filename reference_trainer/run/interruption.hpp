#pragma once

#include <csignal>

namespace coho::trainer {

/// SIGINT and SIGTERM set the flag that `interrupted` reads; a second signal ends the process with status 130, as it
/// does not wait for a safe point.
void install_interrupt_handlers();
/// Whether the flag is set, or the ranks agreed to stop.
bool interrupted() noexcept;
/// Sets or clears the flag, and forgets an agreement. Tests do.
void set_interrupted(bool value) noexcept;
/// Another rank was interrupted. This process got no signal itself: the first one it gets is not its second.
void agree_to_stop() noexcept;

/// While one exists, Ctrl-C (SIGINT) is a request that `consume` returns, not the end of the program; a second one that
/// comes before the first was taken ends it with status 130. The previous handler is restored. One at a
/// time.
class ctrl_c {
 public:
  /// Without `install` Ctrl-C keeps its meaning, and none is ever pending.
  explicit ctrl_c(bool install);
  ~ctrl_c();
  ctrl_c(const ctrl_c&) = delete;
  ctrl_c& operator=(const ctrl_c&) = delete;

  /// Whether a Ctrl-C came since the last `consume`.
  bool pending() const noexcept;
  /// Waits at most a tenth of a second for input, or the end of input, at a descriptor. A polling caller
  /// sees a Ctrl-C at any time; a blocking read would miss one just before it.
  static bool has_input(int descriptor) noexcept;
  /// `pending`, which is false afterwards.
  bool consume() noexcept;

 private:
  bool installed_;
  struct ::sigaction before_ {};
};

}  // namespace coho::trainer
