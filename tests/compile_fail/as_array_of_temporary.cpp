// expect: coho::as_array does not own
#include <vector>

#include <coho/eigen/as_array.hpp>

int main() {
#ifdef COHO_FAIL
  return static_cast<int>(coho::as_array(std::vector<double>{1, 2}).sum());
#else
  const std::vector<double> x{1, 2};
  return static_cast<int>(coho::as_array(x).sum());
#endif
}
