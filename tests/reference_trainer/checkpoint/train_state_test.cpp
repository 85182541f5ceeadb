#include "checkpoint/train_state.hpp"

#include <stdexcept>

#include <coho/error.hpp>

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace coho::trainer;
using coho::test::temporary_directory;
namespace fs = std::filesystem;

namespace {

train_state state_of(int number) {
  train_state state;
  state.tensors["moment"] = at::full({3}, number);
  state.tensors["steps"] = at::full({}, number, at::kLong);
  state.values = {{"rng", {18446744073709551615ULL, 2, 3}}, {"loss", 0.1}, {"number", number}};
  return state;
}

std::vector<std::uint64_t> steps_of(const fs::path& root) {
  std::vector<std::uint64_t> steps;
  for (const auto& saved : saved_steps(root)) steps.push_back(saved.step);
  return steps;
}

std::size_t entries_of(const fs::path& root) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(root), {}));
}

}  // namespace

TEST_CASE("train_state: tensors and values come back as they were") {
  const temporary_directory folder;
  const auto state = state_of(5);
  const auto saved = save_train_state(folder / "run/checkpoints", 12, state);
  CHECK(saved.filename() == "step-00000012");
  const auto loaded = load_train_state(saved);
  CHECK(loaded.values == state.values);
  CHECK(loaded.values["rng"][0].get<std::uint64_t>() == 18446744073709551615ULL);
  CHECK(at::equal(loaded.tensors.at("moment"), state.tensors.at("moment")));
  CHECK(loaded.tensors.at("steps").item<std::int64_t>() == 5);
  CHECK(entries_of(folder / "run/checkpoints") == 1);
}

TEST_CASE("train_state: the newest step is found and the oldest ones go") {
  const temporary_directory folder;
  CHECK_FALSE(latest_step(folder / "none").has_value());
  for (int step = 1; step <= 4; ++step)
    save_train_state(folder.path(), static_cast<std::uint64_t>(step), state_of(step), 2);
  CHECK(steps_of(folder.path()) == std::vector<std::uint64_t>{3, 4});
  CHECK(latest_step(folder.path())->step == 4);
  save_train_state(folder.path(), 123456789012, state_of(9));
  CHECK(latest_step(folder.path())->step == 123456789012);
  CHECK(steps_of(folder.path()).size() == 3);
  save_train_state(folder.path(), 2, state_of(2), 1);  // resumed from an earlier step: the new one stays
  CHECK(steps_of(folder.path()) == std::vector<std::uint64_t>{2});
}

TEST_CASE("train_state: a step can be saved again") {
  const temporary_directory folder;
  save_train_state(folder.path(), 7, state_of(1));
  const auto saved = save_train_state(folder.path(), 7, state_of(2));
  CHECK(load_train_state(saved).values["number"] == 2);
  CHECK(entries_of(folder.path()) == 1);
}

TEST_CASE("train_state: a save that fails leaves the steps as they were") {
  const temporary_directory folder;
  save_train_state(folder.path(), 7, state_of(1));
  const auto fail = [](const fs::path& path) {
    CHECK(fs::exists(path / "state.json"));
    throw std::runtime_error("disk");
  };
  CHECK_THROWS_WITH(save_train_state(folder.path(), 7, state_of(2), 1, fail), "disk");
  CHECK(load_train_state(latest_step(folder.path())->directory).values["number"] == 1);
  CHECK(entries_of(folder.path()) == 1);
}

TEST_CASE("train_state: more files may go into the directory") {
  const temporary_directory folder;
  const auto saved = save_train_state(folder.path(), 7, state_of(1), 0,
                                      [](const fs::path& path) { coho::test::write_bytes(path / "more", "x"); });
  CHECK(coho::test::read_bytes(saved / "more") == "x");
}

TEST_CASE("train_state: leftovers of interrupted saves are not steps, and go at the next save") {
  const temporary_directory folder;
  const auto saved = save_train_state(folder.path(), 7, state_of(1));
  fs::create_directory(folder / "step-00000009.unfinished");
  fs::create_directory(folder / "step-x");
  fs::create_directory(folder / "step-00000010");  // not whole: no state
  fs::create_directory(folder / "other");
  CHECK(steps_of(folder.path()) == std::vector<std::uint64_t>{7});
  // Stopped between the two renames: the old step has stepped aside and nothing has taken its place.
  fs::rename(saved, folder / "step-00000007.replaced");
  REQUIRE(steps_of(folder.path()) == std::vector<std::uint64_t>{7});
  CHECK(load_train_state(latest_step(folder.path())->directory).values["number"] == 1);
  save_train_state(folder.path(), 8, state_of(2));
  CHECK_FALSE(fs::exists(folder / "step-00000009.unfinished"));
  CHECK(fs::exists(folder / "step-00000007.replaced"));
  save_train_state(folder.path(), 7, state_of(3));
  save_train_state(folder.path(), 11, state_of(4));
  CHECK_FALSE(fs::exists(folder / "step-00000007.replaced"));
  CHECK(steps_of(folder.path()) == std::vector<std::uint64_t>{7, 8, 11});
}

TEST_CASE("train_state: what is not a state is refused") {
  const temporary_directory folder;
  CHECK_THROWS_AS(load_train_state(folder.path()), coho::file_error);
  coho::test::write_bytes(folder / "state.json", "[]");
  CHECK_THROWS_WITH(load_train_state(folder.path()), Catch::Matchers::ContainsSubstring("values: is missing"));
  coho::test::write_bytes(folder / "state.json", R"({"values": [1]})");
  CHECK_THROWS_WITH(load_train_state(folder.path()), Catch::Matchers::ContainsSubstring("values: is missing or not"));
  coho::test::write_bytes(folder / "file", "x");
  CHECK_THROWS_WITH(save_train_state(folder / "file", 1, state_of(1)),
                    Catch::Matchers::ContainsSubstring("cannot be created"));
}
