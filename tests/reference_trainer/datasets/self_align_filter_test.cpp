#include "datasets/self_align_filter.hpp"

#include "settings/self_align_settings.hpp"
#include "support/catch.hpp"
#include "support/recipe_models.hpp"
#include "support/stage_runs.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;
using enum coho::trainer::self_align_fault;

namespace {

const self_align_prompt prompt(prompt_template(template_kind::self_align,
                                               "{Rules}\n{Exemplars}\n# U\n{Input}\n# T\n{Thoughts}\n# A\n{Answer}",
                                               "s"),
                               std::vector<principle>{{"kind", "Be kind."}},
                               {{"how are apples kept over the winter in a cellar without frost",
                                 "I am X. Apples keep when it is cool and dark.",
                                 "lay them side by side on straw, none may touch another one"},
                                {"q", "I am X. It is short.", "no"}});

// Fourteen words that say nothing twice.
const std::string fair = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen";

self_align_filter_options lenient() { return {.thoughts_opening = "I am X.", .minimum_characters = 10}; }

std::optional<self_align_fault> fault(const std::string& answer, const self_align_filter_options& options = lenient(),
                                      const std::string& question = "what?", const std::string& thoughts = "I am X.",
                                      bool finished = true) {
  const auto verdict = self_align_filter(options, prompt)(question, {thoughts, answer, true}, finished).removed;
  return verdict ? std::optional(verdict->fault) : std::nullopt;
}

self_align_filter_options without(self_align_fault fault, self_align_filter_options options = lenient()) {
  options.on[static_cast<std::size_t>(fault)] = false;
  return options;
}

}  // namespace

TEST_CASE("self-align filters: a fair answer is taken") { CHECK_FALSE(fault(fair)); }

TEST_CASE("self-align filters: thoughts and answer open as they are told to") {
  CHECK(fault(fair, lenient(), "what?", "You are X.") == opening);
  CHECK_FALSE(fault(fair, without(opening), "what?", "You are X."));
  auto options = lenient();
  options.answer_opening = "As X";
  CHECK(fault(fair, options) == opening);
  CHECK_FALSE(fault("As X I count " + fair, options));
}

TEST_CASE("self-align filters: an answer stands behind the thoughts") {
  const self_align_filter filter(lenient(), prompt), off(without(answer), prompt);
  CHECK(filter("q", {"I am X.", "", true}, true).removed->fault == answer);
  CHECK(filter("q", {"I am X.", fair, false}, true).removed->fault == answer);
  CHECK_FALSE(off("q", {"I am X.", fair, false}, true).removed);
  // All is answer then: there are no thoughts that could open otherwise than they should.
  CHECK_FALSE(off("q", {"", fair, false}, true).removed);
  CHECK(off("q", {"", fair, true}, true).removed->fault == opening);
  CHECK(off("q", {"I am X.", "", true}, true).removed->fault == answer);  // there would be nothing to learn
}

TEST_CASE("self-align filters: the text ends by itself") {
  CHECK(fault(fair, lenient(), "what?", "I am X.", false) == unfinished);
  auto options = lenient();
  options.unfinished = unfinished_answer::keep;
  CHECK_FALSE(fault(fair, options, "what?", "I am X.", false));
}

TEST_CASE("self-align filters: an answer that the limit cut is kept, or kept without its last word, and not finished") {
  auto options = lenient();
  const auto outcome = [&](const std::string& text, bool finished = false) {
    return self_align_filter(options, prompt)("q", {"I am X.", text, true}, finished);
  };
  options.unfinished = unfinished_answer::keep;
  CHECK(outcome("One two three fo").answer == "One two three fo");
  CHECK_FALSE(outcome("One two three fo").finished);
  CHECK_FALSE(outcome("One").removed);  // no minimum for a text that was not to end here
  options.unfinished = unfinished_answer::trim;
  CHECK(outcome("One two three fo").answer == "One two three");
  CHECK(outcome("One two, well-kn").answer == "One two,");
  CHECK(outcome("One two\n\nthr").answer == "One two");
  CHECK(outcome("One two three fo", true).answer == "One two three fo");
  CHECK(outcome("One two three fo", true).finished);
  CHECK(outcome("我是一只狐狸你好").answer == "我是一只狐狸你");
  CHECK(outcome("fox 我是一只狐狸你好你好").answer == "fox 我是一只狐狸你好你");
  CHECK(outcome("Photosynthe").removed->fault == unfinished);
  CHECK(outcome("One two", true).removed->fault == length);
}

TEST_CASE("self-align filters: no other turn is in the answer") {
  CHECK(fault(fair + "\n# T\nand so on") == heading);
  CHECK(fault(fair + "\n# A\nand so on") == heading);
  CHECK_FALSE(fault(fair + "\n# T\nand so on", without(heading)));
  CHECK_FALSE(fault(fair + "\n# Title\nand so on"));
}

TEST_CASE("self-align filters: length is counted in characters") {
  auto options = lenient();
  options.minimum_characters = 6;
  CHECK(fault("12345", options) == length);
  CHECK_FALSE(fault("123456", options));
  CHECK(fault("你好你是谁", options) == length);
  CHECK_FALSE(fault("你好你是谁呢", options));
  CHECK_FALSE(fault("12345", without(length, options)));
  CHECK(self_align_filter_options().minimum_characters == 160);
}

TEST_CASE("self-align filters: runs of four words that return") {
  // 9 words: six runs. "a b c d e" once more begins after four of them: a b c d returns, and b c d e.
  CHECK_FALSE(fault("a b c d e x a b c d e y z"));              // 2 of 10
  CHECK(fault("a b c d e a b c d e a b c d e") == repetition);  // 7 of 12
  CHECK_FALSE(fault("a b c d e a b c d e a b c d e", without(repetition)));
  auto options = lenient();
  options.maximum_repetition = 0.1;
  CHECK(fault("a b c d e x a b c d e y z", options) == repetition);
  options.maximum_repetition = 0.2;
  CHECK_FALSE(fault("a b c d e x a b c d e y z", options));
}

TEST_CASE("self-align filters: an answer that repeats itself may be taken up to there") {
  auto options = lenient();
  options.repeated = repeated_answer::truncate;
  const auto outcome = [&](const std::string& text) {
    return self_align_filter(options, prompt)("q", {"I am X.", text, true}, true);
  };
  // The loop's second round begins at the sixth word.
  const auto cut = outcome("a b c d e, a b c d e, a b c d e");
  CHECK_FALSE(cut.removed);
  CHECK(cut.answer == "a b c d e,");
  CHECK(cut.truncated);
  CHECK_FALSE(cut.finished);
  // One run that returns early, 1 of 14, is no loop: the text stays up to the one that takes it above the limit.
  const auto late = outcome("p q r s t p q r s v w x y z k l m a b c d a b c d a b c d a b c d a b c d");
  CHECK(late.answer == "p q r s t p q r s v w x y z k l m a b c d");
  CHECK(outcome("a b c d e x a b c d e y z").answer == "a b c d e x a b c d e y z");
  CHECK_FALSE(outcome("a b c d e x a b c d e y z").truncated);
  // A line for the third time: it goes with all behind it.
  const std::string line = "- the same twenty characters\n", other = "one two three four five six seven\n",
                    more = "eight nine ten eleven twelve thirteen fourteen fifteen\n",
                    last = "sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty";
  CHECK(outcome(line + other + line + more + "  " + line + last).answer + "\n" == line + other + line + more);
}

TEST_CASE("self-align filters: long lines that return") {
  const std::string line = "- the same twenty characters\n", other = "one two three four five six seven\n",
                    more = "eight nine ten eleven twelve thirteen fourteen fifteen\n",
                    last = "sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty";
  CHECK_FALSE(fault(line + other + line + more + last));
  CHECK(fault(line + other + line + more + "  " + line + last) == repetition);
  CHECK_FALSE(fault("}\n" + other + "}\n" + more + "}\n" + last));
}

TEST_CASE("self-align filters: the question comes back") {
  const std::string question = "Count from one to twenty, please.";
  CHECK(fault("count from one to twenty please: 1 2 3 4 5 6 7", lenient(), question) == echo);
  CHECK_FALSE(fault("Here I count from one to twenty, please see: " + fair, lenient(), question));
  CHECK_FALSE(fault("what? " + fair, lenient(), "What?"));  // one word is no echo
  const std::string text = "a long question of more than eight words whose text is given back";
  CHECK(fault("You said: " + text + ". So.", lenient(), text) == echo);    // 13 of 16 words
  CHECK_FALSE(fault("You said: " + text + ". " + fair, lenient(), text));  // 13 of 29
  CHECK_FALSE(fault("You said: " + text + ". So.", without(echo), text));
}

TEST_CASE("self-align filters: what exemplars say") {
  // A question, thoughts and an answer of eleven, thirteen and twelve words.
  CHECK(fault("First: Lay them side by side on straw; none may touch another one.") == leak);
  CHECK_FALSE(fault("First: Lay them side by side on straw; none may touch another."));
  CHECK_FALSE(fault("First: Lay them side by side on straw; none may touch another one.", without(leak)));
  auto options = lenient();
  options.leak_words = 5;
  CHECK(fault("As you know apples keep when it is cool and dark, so be it.", options) == leak);
  CHECK_FALSE(fault("As you know apples keep when dark, so be it.", options));
}

TEST_CASE("self-align filters: the first reason in their order counts, and says what was found") {
  const self_align_filter filter(lenient(), prompt);
  CHECK(filter("q", {"You.", "x", true}, false).removed->fault == opening);
  CHECK(filter("q", {"I am X.", "x", true}, false).removed->fault == unfinished);
  CHECK(filter("q", {"I am X.", "x", true}, true).removed->detail == "1 characters");
  CHECK(filter("q", {"You.", "x", true}, true).removed->detail == "the thoughts begin \"You.\"");
  for (std::size_t i = 0; i < self_align_faults.size(); ++i)
    CHECK(fault_name(static_cast<self_align_fault>(i)) == self_align_faults[i]);
}

TEST_CASE("self-align filters: keys, and values out of range") {
  const auto read = [](const settings& given) {
    return read_given(config(given), "self_align", self_align_filter_options{.thoughts_opening = "Hello."});
  };
  CHECK(read({}).thoughts_opening == "Hello.");
  CHECK(read({}).checks(echo));
  CHECK_FALSE(read({"self_align.filters.echo=false"}).checks(echo));
  CHECK(read({"self_align.leak_words=9"}).leak_words == 9);
  CHECK(read({"self_align.thoughts_opening="}).thoughts_opening == "");
  CHECK(read({}).unfinished == unfinished_answer::drop);
  CHECK(read({"self_align.unfinished=trim"}).unfinished == unfinished_answer::trim);
  CHECK_FALSE(read({"self_align.unfinished=keep"}).checks(unfinished));
  CHECK(read({}).repeated == repeated_answer::remove);
  CHECK(read({"self_align.repetition=truncate"}).repeated == repeated_answer::truncate);
  CHECK_THROWS_WITH(read({"self_align.maximum_echo=1.5"}), ContainsSubstring("in [0, 1]"));
  CHECK_THROWS_WITH(read({"self_align.maximum_repetition=-1"}), ContainsSubstring("maximum_repetition"));
  CHECK_THROWS_AS(read({"self_align.leak_words=0"}), config_error);
  CHECK_THROWS_AS(read({"self_align.filters.echo=3"}), config_error);
}
