#include "run/interruption.hpp"

#include <csignal>
#include <unistd.h>

#include "support/catch.hpp"

using namespace coho::trainer;

TEST_CASE("interruption: Ctrl-C is a request while one lives") {
  struct ::sigaction before {
  }, after{};
  ::sigaction(SIGINT, nullptr, &before);
  {
    ctrl_c request(true);
    CHECK_FALSE(request.pending());
    for (int i = 0; i < 2; ++i) {
      ::raise(SIGINT);
      CHECK(request.pending());
      CHECK(request.consume());
      CHECK_FALSE(request.consume());
    }
  }
  ::sigaction(SIGINT, nullptr, &after);
  CHECK(before.sa_handler == after.sa_handler);
  CHECK_FALSE(ctrl_c(false).pending());
}

TEST_CASE("interruption: input is waited for a while") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  CHECK_FALSE(ctrl_c::has_input(ends[0]));
  REQUIRE(::write(ends[1], "a", 1) == 1);
  CHECK(ctrl_c::has_input(ends[0]));
  char read_back = 0;
  REQUIRE(::read(ends[0], &read_back, 1) == 1);
  ::close(ends[1]);
  CHECK(ctrl_c::has_input(ends[0]));  // the end of the input
  ::close(ends[0]);
}

TEST_CASE("interruption: a signal and an agreement are both seen until they are cleared") {
  struct ::sigaction before_int {
  }, before_term{};
  ::sigaction(SIGINT, nullptr, &before_int);
  ::sigaction(SIGTERM, nullptr, &before_term);
  install_interrupt_handlers();
  CHECK_FALSE(interrupted());
  ::raise(SIGTERM);
  CHECK(interrupted());
  set_interrupted(false);
  CHECK_FALSE(interrupted());
  agree_to_stop();
  CHECK(interrupted());
  ::raise(SIGINT);  // the first signal to this process: it lives
  set_interrupted(false);
  CHECK_FALSE(interrupted());
  ::sigaction(SIGINT, &before_int, nullptr);
  ::sigaction(SIGTERM, &before_term, nullptr);
}
