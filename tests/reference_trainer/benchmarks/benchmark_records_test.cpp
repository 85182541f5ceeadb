#include "benchmarks/benchmark_records.hpp"

#include <map>
#include <set>

#include <nlohmann/json.hpp>

#include <coho/error.hpp>

#include "benchmarks/answer_writer.hpp"
#include "support/catch.hpp"
#include "support/shared_data.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

namespace {

benchmark_question read_text(answer_form form, std::string_view text) {
  const temporary_directory folder;
  write_bytes(folder / "mine.jsonl", text);
  jsonl_reader reader(folder / "mine.jsonl");
  json value;
  REQUIRE(reader.next(value));
  auto question = read_benchmark_question(form, value, reader);
  REQUIRE(question);
  return *question;
}

const answer_identity identity{.model_id = "m", .timestamp = 5};

}  // namespace

TEST_CASE("answers: FastChat's questions and answers") {
  const auto question =
      read_text(answer_form::mt_bench,
                R"({"question_id": 81, "category": "math", "turns": ["u1", "u2"], "reference": ["a", "b"]})");
  CHECK(question.turns == std::vector<std::string>{"u1", "u2"});
  CHECK(question.category == "math");
  const auto answer = answer_record(answer_form::mt_bench, question, {"a1", "a2"}, true, identity);
  auto rest = answer;
  rest.erase("answer_id");
  CHECK(rest == json::parse(R"({"question_id": 81, "model_id": "m",
                                "choices": [{"index": 0, "turns": ["a1", "a2"]}], "tstamp": 5.0})"));
  // The id is the same for the same answer and another for each other one.
  std::set<std::string> ids{answer["answer_id"].get<std::string>()};
  CHECK(answer_record(answer_form::mt_bench, question, {"a1", "a2"}, true, identity) == answer);
  auto other = question;
  other.id = "82";
  ids.insert(answer_record(answer_form::mt_bench, other, {"a1", "a2"}, true, identity)["answer_id"].get<std::string>());
  ids.insert(
      answer_record(answer_form::mt_bench, question, {"a1a", "2"}, true, identity)["answer_id"].get<std::string>());
  ids.insert(answer_record(answer_form::mt_bench, question, {"a1", "a2"}, true, {.model_id = "n"})["answer_id"]
                 .get<std::string>());
  CHECK(ids.size() == 4);
  CHECK_THROWS_AS(answer_record(answer_form::mt_bench, question, {"a1"}, true, identity), argument_error);

  const auto named = read_text(answer_form::vicuna_bench, R"({"question_id": "q-1", "turns": ["u"]})");
  CHECK(answer_record(answer_form::vicuna_bench, named, {"a"}, true, identity)["question_id"] == "q-1");
}

TEST_CASE("answers: questions of another form are refused with what is wrong") {
  const auto refuses = [](answer_form form, std::string_view text, const std::string& what) {
    CHECK_THROWS_WITH(read_text(form, text), ContainsSubstring("line 1") && ContainsSubstring(what));
  };
  refuses(answer_form::mt_bench, R"({"question_id": 1, "turns": ["u1"]})", "has 1 turns, expected 2");
  refuses(answer_form::vicuna_bench, R"({"question_id": 1, "turns": ["u1", "u2"]})", "has 2 turns, expected 1");
  refuses(answer_form::vicuna_bench, R"({"turns": ["u1"]})", "not a FastChat question record");
  refuses(answer_form::vicuna_bench, R"({"question_id": 1.5, "turns": ["u1"]})", "\"question_id\"");
  refuses(answer_form::vicuna_bench, R"({"question_id": 1, "turns": "u1"})", "expected a list of texts");
  refuses(answer_form::vicuna_bench, R"({"question_id": 1, "turns": [""]})", "non-empty");
  refuses(answer_form::alpaca_eval, R"({"question_id": 1})", "not a prompt record");
  refuses(answer_form::alpaca_eval, R"({"instruction": "u", "dataset": 3})", "\"dataset\"");
}

TEST_CASE("answers: AlpacaEval's and the project's own records") {
  const auto question = read_text(answer_form::alpaca_eval,
                                  R"({"instruction": "u", "output": "theirs", "generator": "g", "dataset": "koala"})");
  CHECK(answer_record(answer_form::alpaca_eval, question, {"mine"}, true, identity) ==
        json::parse(R"({"instruction": "u", "output": "mine", "generator": "m", "dataset": "koala"})"));
  CHECK(read_text(answer_form::alpaca_eval, R"({"prompt": "u"})").dataset == "mine");
  const auto plain = read_text(answer_form::jsonl, R"({"instruction": "u", "input": "i"})");
  CHECK(plain.turns == std::vector<std::string>{"u\n\ni"});
  CHECK(answer_record(answer_form::jsonl, plain, {"a"}, false, identity) ==
        json::parse(R"({"instruction": "u", "input": "i", "responses": ["a"], "finished": [false]})"));
}

TEST_CASE("answers: FastChat's temperatures by category") {
  CHECK(fastchat_temperature("writing") == 0.7);
  CHECK(fastchat_temperature("coding") == 0);
  CHECK(fastchat_temperature("stem") == 0.1);
  CHECK(fastchat_temperature("fermi") == 0.7);
}

TEST_CASE("answers: a list appears when it is whole, and goes on after a kill") {
  const temporary_directory folder;
  const auto path = folder / "answers.json";
  const auto count = [&](bool resume) { return answer_writer(path, answer_form::alpaca_eval, resume).count(); };
  {
    answer_writer writer(path, answer_form::alpaca_eval, false);
    writer.write({{"n", 1}});
    writer.write({{"n", "ü"}});
  }
  CHECK_FALSE(std::filesystem::exists(path));
  CHECK(count(true) == 2);
  // Torn in the middle of the second record.
  auto records = path;
  records += ".records.partial";
  const auto text = read_bytes(records);
  write_bytes(records, text.substr(0, text.size() - 3));
  {
    answer_writer writer(path, answer_form::alpaca_eval, true);
    REQUIRE(writer.count() == 1);
    writer.write({{"n", "ü"}});
    writer.finish();
    CHECK(writer.finished());
  }
  CHECK(json::parse(read_bytes(path)) == json::parse(R"([{"n": 1}, {"n": "ü"}])"));
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
  CHECK(answer_writer(path, answer_form::alpaca_eval, true).finished());

  // All records written and the list not: it is made when the run goes on.
  std::filesystem::remove(path);
  write_bytes(folder / "answers.json.records", text);
  CHECK(answer_writer(path, answer_form::alpaca_eval, true).finished());
  CHECK(json::parse(read_bytes(path)).size() == 2);
  // A new run does not take what an old one left.
  write_bytes(folder / "answers.json.records", text);
  CHECK(count(false) == 0);
  CHECK_THROWS_AS(answer_writer(folder.path(), answer_form::alpaca_eval, false), file_error);
}

TEST_CASE("answers: the list of an earlier run is not taken for a later one's") {
  const temporary_directory folder;
  const auto path = folder / "answers.json";
  {
    answer_writer writer(path, answer_form::alpaca_eval, false);
    writer.write({{"n", 1}});
    writer.finish();
  }
  { answer_writer stopped(path, answer_form::alpaca_eval, false); }
  CHECK_FALSE(answer_writer(path, answer_form::alpaca_eval, true).finished());
  {
    answer_writer writer(path, answer_form::alpaca_eval, false);
    writer.write({{"n", 2}});
  }
  answer_writer writer(path, answer_form::alpaca_eval, true);
  REQUIRE(writer.count() == 1);
  writer.finish();
  CHECK(json::parse(read_bytes(path)) == json::parse(R"([{"n": 2}])"));
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("answers: the published question files are read whole") {
  const auto data = shared_data();
  if (!data) {
    WARN("shared data absent: skipped");
    return;
  }
  const std::map<std::string, answer_form> files{{"mt_bench", answer_form::mt_bench},
                                                 {"vicuna_bench", answer_form::vicuna_bench}};
  for (const auto& [name, form] : files) {
    jsonl_reader reader(*data / "questions" / (name + "_question.jsonl"));
    std::set<std::string> ids, categories;
    for (json value; reader.next(value);) {
      const auto question = read_benchmark_question(form, value, reader);
      REQUIRE(question);
      ids.insert(question->id);
      categories.insert(question->category);
    }
    CHECK(ids.size() == 80);
    CHECK(categories.size() >= 8);
  }
}
