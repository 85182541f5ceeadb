#include "jsonl/python_literal.hpp"

#include <nlohmann/json.hpp>

#include "support/catch.hpp"

using coho::trainer::json;
using coho::trainer::parse_python_literal;

TEST_CASE("Python literals of printed data are read") {
  CHECK(*parse_python_literal("('Concise', 'Ethical')") == json::parse(R"(["Concise","Ethical"])"));
  CHECK(*parse_python_literal("('Concise',)") == json::parse(R"(["Concise"])"));
  CHECK(*parse_python_literal("()") == json::array());
  CHECK(*parse_python_literal(" ( 0, 1 ,True,False, None , -0.5, 1e-05) ") ==
        json::parse("[0,1,true,false,null,-0.5,1e-05]"));
  CHECK(*parse_python_literal("(np.int64(1), np.float64(-2.5))") == json::parse("[1,-2.5]"));
  CHECK(*parse_python_literal(R"(["it's", 'say "x"', 'a\'b', 'tab\tn\n', '\u00e9\x41'])") ==
        json::parse(R"(["it's","say \"x\"","a'b","tab\tn\n","éA"])"));
  CHECK(*parse_python_literal("((1, 2), [3])") == json::parse("[[1,2],[3]]"));
}

TEST_CASE("anything else is refused") {
  for (const auto* bad : {"", "(", "(1", "(1 2)", "1)", "('a", "__import__('os')", "('a' 'b')", "{1: 2}",
                          "np.float64(1", "('\\ud800',)", "--1", "(,)"}) {
    INFO(bad);
    CHECK_FALSE(parse_python_literal(bad).has_value());
  }
  CHECK_FALSE(parse_python_literal(std::string(100000, '(')).has_value());
}
