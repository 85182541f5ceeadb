#pragma once

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <fstream>
#include <string>

namespace coho::test {

/// The most memory that this process holds beyond what it held when this was made. Linux alone knows: `known` says
/// whether.
class memory_peak {
 public:
  memory_peak() {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
    std::ofstream("/proc/self/clear_refs") << 5;  // sets the peak back to what is held now
    before_ = peak();
  }
  bool known() const { return before_ > 0; }
  double bytes() const { return peak() - before_; }

 private:
  static double peak() {
    std::ifstream file("/proc/self/status");
    for (std::string word; file >> word;) {
      double kilobytes = 0;
      if (word == "VmHWM:" && file >> kilobytes) return kilobytes * 1024;
    }
    return 0;
  }
  double before_ = 0;
};

}  // namespace coho::test
