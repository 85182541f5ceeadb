#include <coho/coho.hpp>

const void* version_of_second(const coho::error* of_the_same_version);

// An inline variable is one object in the program, so both units must see the same address.
int main() { return &coho::version == version_of_second(nullptr) ? 0 : 1; }
