// expect: coho::language_identifier (1): the identifier is not callable (const) with a std::string_view
#include <string_view>

#include <coho/require.hpp>

struct identifier {
#ifndef COHO_FAIL
  int operator()(std::string_view) const;
#else
  int operator()(std::string_view);
#endif
};

static_assert(coho::require_language_identifier<identifier>());
