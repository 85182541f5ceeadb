#include "preferences/reference_log_probs.hpp"

#include <span>
#include <string>
#include <vector>

#include <coho/error.hpp>

#include "support/recipe_models.hpp"
#include "support/stage_runs.hpp"
#include "support/temporary_directory.hpp"

using namespace coho;
using namespace coho::trainer;
using namespace coho::test;
using Catch::Matchers::ContainsSubstring;

namespace {

using examples = std::vector<direct_preference_example>;

examples some_examples() {
  return {{.prompt = {1, 20}, .chosen = {30, 31}, .rejected = {40}},
          {.prompt = {1, 21}, .chosen = {}, .rejected = {41, 42, 43}},
          {.prompt = {1, 22, 23}, .chosen = {32}, .rejected = {44, 45}}};
}

std::vector<direct_preference_example*> pointers(examples& all) {
  std::vector<direct_preference_example*> out;
  for (auto& one : all) out.push_back(&one);
  return out;
}
std::vector<const direct_preference_example*> pointers(const examples& all) {
  std::vector<const direct_preference_example*> out;
  for (const auto& one : all) out.push_back(&one);
  return out;
}

/// The demo's base with an adapter that is trained.
struct policy_model {
  loaded_model model = load_model(demo_base());
  policy_model(std::uint64_t seed = 1) {
    model.bank->add_lora("policy", {.rank = 2}, rng(seed));
    model.bank->train("policy");
  }
  policy_role role() { return policy_role(*model.bank, "policy"); }
};

examples with_log_probs(policy_model& policy, const reference_log_prob_file& file) {
  const config none(settings{"threads=1"});
  stage_context context("test", none, false, false, true);
  auto out = some_examples();
  auto role = policy.role();
  keep_reference_log_probs(pointers(out), role, {}, file, context);
  return out;
}

}  // namespace

TEST_CASE("reference_log_probs: each response gets what the role gives it, and the file is read the next time") {
  const temporary_directory folder;
  policy_model policy;
  const reference_log_prob_file file{.path = folder / "a.jsonl", .fingerprint = "0123"};
  const auto first = with_log_probs(policy, file);
  auto expected = some_examples();
  auto role = policy.role();
  coho::add_reference_log_probs(std::span(expected), role);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK(first[i].reference_chosen.value() == Approx(*expected[i].reference_chosen).epsilon(1e-5));
    CHECK(first[i].reference_rejected.value() == Approx(*expected[i].reference_rejected).epsilon(1e-5));
  }
  CHECK(*first[1].reference_chosen == 0);  // of a response that is not there

  auto text = read_bytes(file.path);
  CHECK(text.starts_with("{\"fingerprint\":\"0123\",\"examples\":3}\n"));
  text.replace(text.find("\"chosen\":0.0"), 12, "\"chosen\":-7.25");
  write_bytes(file.path, text);
  CHECK(with_log_probs(policy, file)[1].reference_chosen.value() == -7.25);
  CHECK(read_bytes(file.path) == text);
}

TEST_CASE("reference_log_probs: a file of another fingerprint is replaced, or an error where the run goes on") {
  const temporary_directory folder;
  policy_model policy;
  reference_log_prob_file file{.path = folder / "a.jsonl", .fingerprint = "0123"};
  with_log_probs(policy, file);
  file.fingerprint = "4567";
  file.must_match = true;
  CHECK_THROWS_WITH(with_log_probs(policy, file), ContainsSubstring("another reference or of other examples"));
  file.must_match = false;
  with_log_probs(policy, file);
  CHECK(read_bytes(file.path).starts_with("{\"fingerprint\":\"4567\""));

  write_bytes(file.path, "{\"fingerprint\":\"4567\",\"examples\":3}\n{\"chosen\":-1}\n");
  CHECK_THROWS_WITH(with_log_probs(policy, file), ContainsSubstring("line 2") && ContainsSubstring("remove the file"));
}

TEST_CASE("reference_log_probs: the fingerprint tells weights and tokens apart") {
  const policy_model one, same, other(2);
  const examples given = some_examples();
  const auto of = [&](const policy_model& policy, const examples& all) {
    return reference_fingerprint(policy.model, "policy", pointers(all));
  };
  const std::string fingerprint = of(one, given);
  CHECK(fingerprint.size() == 16);
  CHECK(of(same, given) == fingerprint);
  CHECK(of(other, given) != fingerprint);
  auto changed = given;
  changed[2].rejected[1] = 46;
  CHECK(of(one, changed) != fingerprint);
  // The same tokens in all, cut elsewhere.
  changed = given;
  changed[0].chosen = {30};
  changed[0].rejected = {31, 40};
  CHECK(of(one, changed) != fingerprint);
  changed = given;
  changed.pop_back();
  CHECK(of(one, changed) != fingerprint);
}
