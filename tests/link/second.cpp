#include <coho/coho.hpp>

const char* version_of_second(const coho::error*) { return coho::version; }
