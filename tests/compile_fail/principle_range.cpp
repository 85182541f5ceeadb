// expect: principle_range
// expect: constraints not satisfied
#include <string>
#include <vector>

#include <coho/principle/principle.hpp>

#ifndef COHO_FAIL
using entry = coho::principle;
#else
using entry = std::string;
#endif

void check(const std::vector<entry>& collection) { coho::check_principles(collection); }
