#include "observe/metrics_log.hpp"

#include <limits>
#include <unistd.h>

#include "files/atomic_file.hpp"
#include "files/read_file.hpp"
#include "support/catch.hpp"

using namespace coho::trainer;

namespace {
const auto folder = std::filesystem::temp_directory_path() / ("coho_metrics_" + std::to_string(::getpid()));
}

TEST_CASE("metrics are one line a step, in the order of logging") {
  std::filesystem::remove_all(folder);
  {
    metrics_log log(folder);
    log.add_scalar("loss", 0, 0.1);
    log.add_scalars(0, {{"kl", 2}, {"broken", std::numeric_limits<double>::quiet_NaN()}});
    log.add_scalar("loss", 1, 0.25);
    CHECK(read_file(folder / "metrics.jsonl") == "{\"step\":0,\"loss\":0.1,\"kl\":2.0,\"broken\":null}\n");
    CHECK(log.find("loss") == curve{{0, 0.1}, {1, 0.25}});
    CHECK(log.find("absent").empty());
  }
  CHECK(read_file(folder / "metrics.jsonl") ==
        "{\"step\":0,\"loss\":0.1,\"kl\":2.0,\"broken\":null}\n{\"step\":1,\"loss\":0.25}\n");
  const auto curves = metrics_log::read(folder);
  REQUIRE(curves.size() == 2);
  CHECK(curves[0].first == "loss");
  CHECK(curves[0].second == curve{{0, 0.1}, {1, 0.25}});
  CHECK(std::distance(std::filesystem::directory_iterator(folder / "tensorboard"), {}) == 1);
  std::filesystem::remove_all(folder);
}

TEST_CASE("a resumed log drops the steps that are done again and a torn line") {
  std::filesystem::remove_all(folder);
  {
    metrics_log log(folder);
    for (int step = 0; step < 5; ++step) log.add_scalar("loss", step, step);
  }
  write_file(folder / "metrics.jsonl", read_file(folder / "metrics.jsonl") + "{\"step\":5,\"lo");
  {
    metrics_log log(folder, 3);
    CHECK(log.find("loss").size() == 3);
    log.add_scalar("loss", 3, 30);
  }
  CHECK(metrics_log::read(folder)[0].second == curve{{0, 0}, {1, 1}, {2, 2}, {3, 30}});
  std::filesystem::remove_all(folder);
}

TEST_CASE("without a directory the curves stay in memory") {
  metrics_log log("");
  log.add_scalar("loss", 1, 2);
  log.add_text("sample", 1, "x");
  log.flush();
  CHECK(log.curves().size() == 1);
}

TEST_CASE("metrics can be read while a line is being written") {
  std::filesystem::remove_all(folder);
  std::filesystem::create_directory(folder);
  const std::string whole = "{\"step\":0,\"loss\":1.5}\n{\"step\":1,\"loss\":null}\n";
  const std::string next = "{\"step\":2,\"loss\":0.5,\"note\":\"\xC3\xA9\"}";
  for (std::size_t length = 0; length < next.size(); ++length) {
    write_file(folder / "metrics.jsonl", whole + next.substr(0, length));
    CHECK(metrics_log::read(folder).at(0).second == curve{{0, 1.5}});
  }
  write_file(folder / "metrics.jsonl", whole + next);
  CHECK(metrics_log::read(folder).at(0).second == curve{{0, 1.5}, {2, 0.5}});
  write_file(folder / "metrics.jsonl", "{\"step\":0,\n" + whole);
  CHECK_THROWS_WITH(metrics_log::read(folder), Catch::Matchers::ContainsSubstring("line 1"));
  std::filesystem::remove_all(folder);
}

TEST_CASE("a resumed log refuses a line that is no JSON, by its number") {
  std::filesystem::remove_all(folder);
  std::filesystem::create_directory(folder);
  write_file(folder / "metrics.jsonl", "{\"step\":0,\"loss\":1}\n{\"step\":1,\"loss\":1e999}\n");
  CHECK_THROWS_WITH(metrics_log(folder, 2),
                    Catch::Matchers::ContainsSubstring("metrics.jsonl: line 2: the number 1e999"));
  CHECK_THROWS_WITH(metrics_log::read(folder), Catch::Matchers::ContainsSubstring("line 2: the number 1e999"));
  std::filesystem::remove_all(folder);
}
