// expect: single numbers must be floating-point
#include <coho/loss/bradley_terry.hpp>

int main() {
#ifdef COHO_FAIL
  return static_cast<int>(coho::bradley_terry_loss{}(1, 0));
#else
  return static_cast<int>(coho::bradley_terry_loss{}(1.0, 0.0));
#endif
}
