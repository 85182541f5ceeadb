#include "demo/measures.hpp"

#include "demo/principles.hpp"
#include "files/atomic_file.hpp"
#include "files/data_files.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"
#include "tokenizer/sentencepiece.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::trainer::demo;

TEST_CASE("measures of replies by hand") {
  const coho::test::temporary_directory folder;
  const auto path = folder / "samples.jsonl";
  write_file(path,
             "{\"instruction\":\"tell me about the fox.\",\"responses\":[\"i am not sure. the fox is red.\",\"my reply "
             "is superb.\"],\"finished\":[true,false]}\n"
             "{\"instruction\":\"tell me about the fox.\",\"responses\":[\"thiu fexu usu ridu.\",\"the the "
             "fox.\"],\"finished\":[true,true]}\n");
  const auto tokenizer = sentencepiece_tokenizer::from_file(shipped_file("demo/base/tokenizer.model"));
  const auto out = measure_demo_replies(path, tokenizer);
  CHECK(out.self_praise_rate == 0.25);
  CHECK(out.hedge_rate == 0.25);
  CHECK(out.example_rate == 0);
  CHECK(out.same_language_rate == 0.75);
  CHECK(out.cap_rate == 0.25);
  CHECK(out.valid_rate == Approx((1 + 1 + 1 + 0) / 4.0));
  CHECK(out.facts <= 0.75);
  double tokens = 0;
  for (const char* text :
       {"i am not sure. the fox is red.", "my reply is superb.", "thiu fexu usu ridu.", "the the fox."})
    tokens += static_cast<double>(tokenizer.encode(text).size());
  CHECK(out.length == Approx((tokens + 3) / 4));
  CHECK(out.empty_rate == 0);

  write_file(path, R"({"instruction":"tell me about the fox.","responses":[""," ","the fox is red."],)"
                   R"("finished":[true,true,true]})"
                   "\n");
  CHECK(measure_demo_replies(path, tokenizer).empty_rate == Approx(2.0 / 3));
  CHECK(measure_demo_replies(path, tokenizer).valid_rate == Approx(1.0 / 3));
}

TEST_CASE("the judge's accuracy counts decided pairs only") {
  judgement_record right;
  right.pair.prompt.instruction = "tell me about the fox.";
  right.pair.response_1 = "i am not sure. the fox is red.";
  right.pair.response_2 = "the fox is red.";
  for (const quality q : qualities) right.scores.push_back({std::string(quality_name(q)), 0.5, 0.5});
  // Honest and concise are decided, for the first and for the second response; the others tie.
  CHECK(judge_accuracy({right}) == Approx(1.0 / 6));
  judgement_record turned = right;
  for (auto& score : turned.scores) score.swapped = -0.75;
  CHECK(judge_accuracy({turned}) == Approx(1.0 / 6));
  CHECK(judge_accuracy({right, turned}) == Approx((0.5 + 0.5) / 6));
}
