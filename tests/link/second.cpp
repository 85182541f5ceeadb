#include <coho/coho.hpp>

const void* version_of_second(const coho::error*) { return &coho::version; }
