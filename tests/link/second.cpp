#include <coho/coho.hpp>

const char* version_of_second() { return coho::version; }
