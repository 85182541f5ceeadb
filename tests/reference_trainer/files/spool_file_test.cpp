#include "files/spool_file.hpp"

#include <vector>

#include <coho/error.hpp>
#include <coho/rng.hpp>

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using namespace coho::test;

TEST_CASE("spool: texts come back in any order, and nothing is left on the disk") {
  const temporary_directory folder;
  write_bytes(folder / "out.jsonl.spool", "of a run that was killed while it made its own");
  {
    spool_file spool(folder / "out.jsonl");
    std::vector<std::string> texts;
    std::vector<spool_file::extent> places;
    for (std::size_t i = 0; i < 300; ++i) {
      texts.push_back(std::string(i * 37 % 20000, static_cast<char>('a' + i % 26)));
      places.push_back(spool.append(texts.back()));
      if (i % 50 == 7) CHECK(spool.read(places[i / 2]) == texts[i / 2]);
    }
    for (std::size_t i = texts.size(); i-- > 0;) CHECK(spool.read(places[i]) == texts[i]);
    CHECK(std::filesystem::is_empty(folder.path()));
    CHECK_THROWS_AS(spool.read({std::uint64_t{1} << 40, 3}), coho::argument_error);
  }
  CHECK(std::filesystem::is_empty(folder.path()));
  CHECK_THROWS_AS(spool_file(folder / "none" / "out.jsonl"), coho::file_error);
}
