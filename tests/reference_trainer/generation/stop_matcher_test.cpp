#include "generation/stop_matcher.hpp"

#include "support/catch.hpp"

using namespace coho::trainer;

namespace {

const std::vector<std::string> none{};

// What the texts, one after the other, come to; the last one's answer where all leave the text open.
text_end end_of(const std::vector<std::string>& stops, const std::vector<std::string>& unfinished,
                const std::vector<std::string>& tokens) {
  stop_matcher matcher(stops, unfinished);
  for (const auto& text : tokens)
    if (const auto end = matcher.append(text); end != text_end::open) return end;
  return matcher.is_undecided() ? text_end::unfinished : text_end::open;
}

}  // namespace

TEST_CASE("stop_matcher: finds stop strings within and across tokens") {
  const std::vector<std::string> stops{"### User", "\n\n"};
  stop_matcher across(stops, none);
  CHECK(across.append("well ##") == text_end::open);
  CHECK(across.append("# Us") == text_end::open);
  CHECK(across.append("er and more") == text_end::finished);
  stop_matcher within(stops, none);
  CHECK(within.append("a\n\nb") == text_end::finished);
  stop_matcher bytes(stops, none);
  CHECK(bytes.append("x\n") == text_end::open);
  CHECK(bytes.append(" ") == text_end::open);
  CHECK(bytes.append("\n") == text_end::open);
  CHECK(bytes.append("") == text_end::open);
  CHECK(bytes.append("\n") == text_end::finished);
  const std::vector<std::string> one{"a"};
  stop_matcher single(one, none);
  CHECK(single.append("b") == text_end::open);
  CHECK(single.append("ba") == text_end::finished);
}

TEST_CASE("stop_matcher: strings that end a text without finishing it") {
  const std::vector<std::string> stops{"### User"}, cuts{"\nNote", "###"};
  CHECK(end_of(stops, cuts, {"So.\n", "No", "te: I am"}) == text_end::unfinished);
  CHECK(end_of(stops, cuts, {"So.\n", "No", "w"}) == text_end::open);
  CHECK(end_of(none, cuts, {"So. ##", "#"}) == text_end::unfinished);
  CHECK(end_of(stops, {}, {"So.\nNote ###"}) == text_end::open);
  // Whichever begins first.
  CHECK(end_of(stops, cuts, {"So.\nNote ### User"}) == text_end::unfinished);
  CHECK(end_of(stops, cuts, {"So.### User\nNote"}) == text_end::finished);
}

TEST_CASE("stop_matcher: a string that the stop string holds counts where the text goes on otherwise") {
  const std::vector<std::string> stops{"\n\n### User"}, cuts{"###"};
  CHECK(end_of(stops, cuts, {"So.\n\n", "###", " User"}) == text_end::finished);
  CHECK(end_of(stops, cuts, {"So.\n\n###", " Us", "er"}) == text_end::finished);
  CHECK(end_of(stops, cuts, {"So.\n\n###", " Us", "ing"}) == text_end::unfinished);
  CHECK(end_of(stops, cuts, {"So.\n\n###", " Us"}) == text_end::unfinished);  // the text ends there
  CHECK(end_of(stops, cuts, {"So.\n###", " User"}) == text_end::unfinished);
  CHECK(end_of({"### User"}, cuts, {"a long text in front of it, longer than any stop ", "#", "##", " ", "User"}) ==
        text_end::finished);
  CHECK(end_of({"### User"}, cuts, {"####", " User"}) == text_end::unfinished);
}

TEST_CASE("truncate_at_stop: cuts at the first stop string") {
  CHECK(truncate_at_stop("one two three", {"three", "two"}) == "one ");
  CHECK(truncate_at_stop("one", {"two", ""}) == "one");
  CHECK(truncate_at_stop("two", {"two"}).empty());
}
