#include "demo/attributes.hpp"

#include "support/catch.hpp"

using namespace coho::trainer::demo;

TEST_CASE("attributes read off a text are those of the reply that was spelt", "[demo][attributes]") {
  for (std::uint64_t stream = 0; stream < 1000; ++stream) {
    coho::rng random{3, stream};
    const prompt p = sample_prompt(random);
    const reply r = sample_reply(p, stream % 2 == 0 ? reply_distribution{} : reply_distribution::wide(), random);
    const attributes read = parse_attributes(render(r), render(p)), truth = measure_attributes(r, p);
    CHECK(read.facts == truth.facts);
    CHECK(read.hedge == truth.hedge);
    CHECK(read.example == truth.example);
    CHECK(read.question == truth.question);
    CHECK(read.self_praise == truth.self_praise);
    CHECK(read.in == truth.in);
    CHECK(read.in == r.in);
    CHECK(read.same_language == (r.in == p.in));
    CHECK(read.on_topic == truth.on_topic);
    CHECK(read.valid == 1.0);
    CHECK(read.words == truth.words);
  }
}

TEST_CASE("attributes of a written example", "[demo][attributes]") {
  const auto seen = parse_attributes(
      "i am not sure. the fox is red. the fox is red. the fox is tan. for example, one fox ran to woods. "
      "shall we go on?",
      "tell me about the fox.");
  CHECK(seen.facts == 1);  // the second is a repeat, the third is false
  CHECK(seen.hedge);
  CHECK(seen.example);
  CHECK(seen.question);
  CHECK_FALSE(seen.self_praise);
  CHECK(seen.same_language);
  CHECK(seen.on_topic);
  CHECK(seen.valid == Approx(5.0 / 6.0));
  CHECK(seen.words == 27);
}

TEST_CASE("attributes of broken replies", "[demo][attributes]") {
  const auto empty = parse_attributes("  \n", "tell me about the fox.");
  CHECK(empty.words == 0);
  CHECK(empty.valid == 0.0);
  CHECK_FALSE(empty.same_language);
  CHECK_FALSE(empty.on_topic);

  const auto cut = parse_attributes("the fox is red. the fox", "tell me about the fox.");
  CHECK(cut.facts == 1);
  CHECK(cut.valid == Approx(0.5));

  const auto elsewhere = parse_attributes("the owl is tan.", "tell me about the fox.");
  CHECK(elsewhere.facts == 1);
  CHECK_FALSE(elsewhere.on_topic);

  const auto other_language = parse_attributes("thiu fexu usu ridu.", "what is the fox?");
  CHECK(other_language.in == language::b);
  CHECK_FALSE(other_language.same_language);
  CHECK(other_language.on_topic);
}
