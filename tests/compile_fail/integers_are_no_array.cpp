// expect: single numbers must be floating-point
#include <coho/kl/estimators.hpp>

int main() {
#ifdef COHO_FAIL
  return static_cast<int>(coho::kl_estimate(-1, -2));
#else
  return static_cast<int>(coho::kl_estimate(-1.0, -2.0));
#endif
}
