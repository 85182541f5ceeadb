#include "observe/summary.hpp"

#include <limits>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "files/atomic_file.hpp"
#include "support/catch.hpp"

using coho::trainer::summary;

TEST_CASE("a summary keeps the order of its keys and the digits of its numbers") {
  summary figures;
  figures.set("judge.accuracy", 0.1);
  figures.set("ppo.plain.reward", 1.0 / 3);
  figures.set("ppo.plain.kl", 2.0);
  figures.set("ppo.aligned", true);
  figures.set("seed", std::uint64_t{18446744073709551615ull});
  figures.set("judge.name", "self");
  figures.set("broken", std::numeric_limits<double>::quiet_NaN());
  CHECK(figures.text() == R"({
  "judge": {
    "accuracy": 0.1,
    "name": "self"
  },
  "ppo": {
    "plain": {
      "reward": 0.3333333333333333,
      "kl": 2.0
    },
    "aligned": true
  },
  "seed": 18446744073709551615,
  "broken": null
}
)");
  CHECK(figures.number("ppo.plain.reward") == 1.0 / 3);
  CHECK_FALSE(figures.number("ppo.plain").has_value());
  CHECK_FALSE(figures.number("ppo.plain.reward.deep").has_value());
  CHECK_FALSE(figures.number("broken").has_value());
  CHECK_THROWS_AS(figures.set("seed.deep", 1), coho::argument_error);

  const auto path = std::filesystem::temp_directory_path() / ("coho_summary_" + std::to_string(::getpid()));
  figures.write(path);
  CHECK(summary::read(path).text() == figures.text());
  coho::trainer::write_file(path, "[1]");
  CHECK_THROWS_AS(summary::read(path), coho::file_error);
  std::filesystem::remove(path);
}
