#include <coho/detail/if_called.hpp>

#include "support/catch.hpp"

namespace {

// if_called is incomplete: compiling the body of `never_called` would be an error.
struct owner {
  template <class Type = coho::detail::if_called>
  static std::size_t never_called() {
    return sizeof(Type);
  }
  template <class = coho::detail::if_called>
  static int called() {
    return 3;
  }
};

}  // namespace

TEST_CASE("what is not called is not compiled, and a call names no template argument") { CHECK(owner::called() == 3); }
