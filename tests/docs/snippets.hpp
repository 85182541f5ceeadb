#pragma once

#include <algorithm>
#include <exception>
#include <initializer_list>
#include <iostream>
#include <sstream>
#include <string>

/// Runs the blocks of the documentation that tools/docs_snippets made functions of.
namespace coho_docs {

struct snippet {
  const char* place;
  void (*run)();
};

inline std::ostringstream printed;
inline int failures = 0;

/// Without blanks at the ends of lines and empty lines at the end.
inline std::string trimmed(const std::string& text) {
  std::string out, line;
  for (std::istringstream in(text); std::getline(in, line); out += line + '\n') {
    while (!line.empty() && line.back() == ' ') line.pop_back();
  }
  while (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

/// A block has ended: what it printed must be what the page says, if the page says something.
inline void end(const char* place, const char* expected) {
  const std::string found = trimmed(printed.str());
  printed.str({});
  if (expected == nullptr || found == trimmed(expected)) return;
  ++failures;
  std::cerr << place << ": prints\n" << found << "\nbut the page says\n" << trimmed(expected) << "\n\n";
}

/// All snippets, or those whose place holds one of the arguments.
inline int run(std::initializer_list<snippet> snippets, int count, char** arguments) {
  auto* const terminal = std::cout.rdbuf(printed.rdbuf());
  int runs = 0;
  for (const auto& one : snippets) {
    const auto wanted = [&](const char* part) { return std::string(one.place).find(part) != std::string::npos; };
    if (count > 1 && std::none_of(arguments + 1, arguments + count, wanted)) continue;
    ++runs;
    std::cout.flags(std::ios::dec | std::ios::skipws);
    std::cout.precision(6);
    try {
      one.run();
    } catch (const std::exception& problem) {
      ++failures;
      std::cerr << one.place << ": throws: " << problem.what() << "\n\n";
    }
    printed.str({});
  }
  std::cout.rdbuf(terminal);
  std::cout << runs << " snippets, " << failures << " failures\n";
  return failures == 0 && runs > 0 ? 0 : 1;
}

}  // namespace coho_docs
