#include "records/empty_texts.hpp"

#include <string>

#include <coho/error.hpp>

#include "jsonl/bad_records.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using Catch::Matchers::ContainsSubstring;
using coho::test::temporary_directory;
using coho::test::write_bytes;

TEST_CASE("empty texts: a blank prompt or response to learn is an error with its line, or passed over") {
  const temporary_directory folder;
  const auto path = folder / "a.jsonl";
  const std::string good = R"({"prompt":"q","completion":"a"})"
                           "\n";
  for (const std::string blank : {"", "  ", "\\n\\t", "\u3000"}) {
    write_bytes(path, good + R"({"prompt":"q","completion":")" + blank + "\"}\n" + good);
    CHECK_THROWS_WITH(read_records<sft_record>(path), ContainsSubstring("line 2"));
    write_bytes(path, good + R"({"prompt":")" + blank +
                          R"(","completion":"a"})"
                          "\n" +
                          good);
    CHECK_THROWS_WITH(read_records<sft_record>(path), ContainsSubstring("line 2"));
    bad_records::setting().skip_bad_records();
    CHECK(read_records<sft_record>(path).size() == 2);
    bad_records::setting().refuse_bad_records();
    write_bytes(path, R"({"prompt":")" + blank + R"(","chosen":"a","rejected":"b"})");
    CHECK_THROWS_WITH(read_records<preference_record>(path), ContainsSubstring("line 1: the prompt is empty"));
    write_bytes(path, R"({"prompt":"q","chosen":"a","rejected":")" + blank + "\"}");
    CHECK(read_records<preference_record>(path).size() == 1);
  }
}
