// expect: coho::array_traits is not specialised for this type
// expect: for Eigen arrays include <coho/eigen/as_array.hpp>
#include <Eigen/Core>

#ifndef COHO_FAIL
#include <coho/eigen/as_array.hpp>
#endif
#include <coho/math.hpp>

int main() {
  const Eigen::ArrayXd x = Eigen::ArrayXd::Zero(2);
  return static_cast<int>(coho::sum(coho::clamp(x, -1, 1)));
}
