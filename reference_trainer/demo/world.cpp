#include "demo/world.hpp"

#include <map>
#include <utility>

namespace coho::trainer::demo {
namespace {

constexpr std::array<std::string_view, 2> hedges{"i may be wrong.", "i am not sure."};
constexpr std::array<std::string_view, 2> questions{"what do we ask next?", "shall we go on?"};
constexpr std::array<std::string_view, 2> self_praises{"i am a great mind.", "my reply is superb."};
constexpr std::array<std::string_view, facts_per_object> fact_verbs{"is", "has", "likes", "lives in"};

// The sentence in language a, from which language b is respelt.
std::string render_in_a(const sentence& s) {
  const std::string object(objects[s.object % object_count]);
  switch (s.kind) {
    case sentence_kind::hedge:
      return std::string(hedges[s.variant % 2]);
    case sentence_kind::question:
      return std::string(questions[s.variant % 2]);
    case sentence_kind::self_praise:
      return std::string(self_praises[s.variant % 2]);
    case sentence_kind::example:
      return "for example, one " + object + (s.variant % 2 == 0 ? " ran to " : " slept near ") +
             std::string(fact_value(s.object, s.variant % 2 == 0 ? 3 : 2)) + ".";
    case sentence_kind::fact:
      break;
  }
  const std::size_t fact = s.variant % facts_per_object;
  return "the " + object + " " + std::string(fact_verbs[fact]) + " " + std::string(fact_value(s.object, fact)) + ".";
}

// The prompt in language a.
std::string render_prompt_in_a(const prompt& p) {
  const std::string object(objects[p.object % object_count]);
  switch (p.form % prompt_form_count) {
    case 0:
      return "tell me about the " + object + ".";
    case 1:
      return "what is the " + object + "?";
    case 2:
      return "describe one " + object + ".";
    default:
      return "say what is known of the " + object + ".";
  }
}

// All sentences by their text, with the language of each. Both tables are built once from the generator itself, so that
// the parser accepts exactly what the generator can produce.
const auto& sentence_table() {
  static const auto table = [] {
    std::map<std::string, std::pair<sentence, language>, std::less<>> out;
    for (const language in : {language::a, language::b}) {
      const auto add = [&](sentence s) { out.emplace(render(s, in), std::pair{s, in}); };
      for (std::uint8_t variant = 0; variant < 2; ++variant) {
        for (const auto kind : {sentence_kind::hedge, sentence_kind::question, sentence_kind::self_praise}) {
          add({kind, 0, variant});
        }
      }
      for (std::uint8_t object = 0; object < object_count; ++object) {
        for (std::uint8_t fact = 0; fact < facts_per_object; ++fact) add({sentence_kind::fact, object, fact});
        for (std::uint8_t variant = 0; variant < 2; ++variant) add({sentence_kind::example, object, variant});
      }
    }
    return out;
  }();
  return table;
}

// All prompts by their text.
const auto& prompt_table() {
  static const auto table = [] {
    std::map<std::string, prompt, std::less<>> out;
    for (const prompt& p : all_prompts()) out.emplace(render(p), p);
    return out;
  }();
  return table;
}

}  // namespace

reply_distribution reply_distribution::wide() {
  return {.facts = {.10, .22, .22, .20, .16, .10},
          .hedge = .45,
          .example = .45,
          .question = .40,
          .self_praise = .40,
          .same_language = .70,
          .on_topic = .85};
}

std::string render(const sentence& s, language in) { return to_language(render_in_a(s), in); }

std::string render(const reply& r) {
  std::string out;
  for (const sentence& s : r.sentences) {
    if (!out.empty()) out += ' ';
    out += render(s, r.in);
  }
  return out;
}

std::string render(const prompt& p) { return to_language(render_prompt_in_a(p), p.in); }

std::optional<std::pair<sentence, language>> parse_sentence(std::string_view text) {
  const auto& table = sentence_table();
  const auto found = table.find(text);
  if (found == table.end()) return std::nullopt;
  return found->second;
}

std::optional<prompt> parse_prompt(std::string_view text) {
  const auto& table = prompt_table();
  const auto found = table.find(text);
  if (found == table.end()) return std::nullopt;
  return found->second;
}

prompt sample_prompt(rng& random) {
  const auto object = static_cast<std::uint8_t>(random.index(object_count));
  const auto form = static_cast<std::uint8_t>(random.index(prompt_form_count));
  return {object, form, random.bernoulli(.5) ? language::a : language::b};
}

reply sample_reply(const prompt& p, const reply_distribution& distribution, rng& random) {
  reply out;
  const language other = p.in == language::a ? language::b : language::a;
  out.in = random.bernoulli(distribution.same_language) ? p.in : other;
  std::uint8_t object = p.object;
  if (!random.bernoulli(distribution.on_topic)) {
    object = static_cast<std::uint8_t>((object + 1 + random.index(object_count - 1)) % object_count);
  }
  const auto variant = [&] { return static_cast<std::uint8_t>(random.index(2)); };
  if (random.bernoulli(distribution.hedge)) out.sentences.push_back({sentence_kind::hedge, 0, variant()});

  std::size_t count = 0;
  for (double left = random.uniform(); count + 1 < distribution.facts.size(); ++count) {
    left -= distribution.facts[count];
    if (left < 0) break;
  }
  std::array<std::uint8_t, facts_per_object> order{0, 1, 2, 3};
  random.shuffle(order);
  for (std::size_t i = 0; i < count; ++i) {
    out.sentences.push_back({sentence_kind::fact, object, order[i % facts_per_object]});
  }
  if (random.bernoulli(distribution.example)) out.sentences.push_back({sentence_kind::example, object, variant()});
  if (random.bernoulli(distribution.question)) out.sentences.push_back({sentence_kind::question, 0, variant()});
  if (random.bernoulli(distribution.self_praise)) out.sentences.push_back({sentence_kind::self_praise, 0, variant()});
  // An empty reply teaches nothing and cannot be judged.
  if (out.sentences.empty()) out.sentences.push_back({sentence_kind::fact, object, order[0]});
  return out;
}

std::vector<prompt> all_prompts() {
  std::vector<prompt> out;
  for (std::uint8_t object = 0; object < object_count; ++object) {
    for (std::uint8_t form = 0; form < prompt_form_count; ++form) {
      for (const language in : {language::a, language::b}) out.push_back({object, form, in});
    }
  }
  return out;
}

}  // namespace coho::trainer::demo
