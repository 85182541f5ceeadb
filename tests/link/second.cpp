#include <coho/coho.hpp>

const void* version_of_second() { return &coho::version; }
