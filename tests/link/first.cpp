#include <coho/coho.hpp>

const void* version_of_second();

// An inline variable is one object in the program, so both units must see the same address.
int main() { return &coho::version == version_of_second() ? 0 : 1; }
