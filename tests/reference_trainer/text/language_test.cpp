#include "text/language.hpp"

#include <coho/concepts.hpp>

#include "support/catch.hpp"

using coho::trainer::cld2_language;

static_assert(coho::language_identifier<cld2_language>);

TEST_CASE("the language of ordinary sentences is found") {
  const cld2_language language;
  CHECK(language("The quick brown fox jumps over the lazy dog and runs into the forest.") == "en");
  CHECK(language("Der Hund schläft unter dem großen Tisch, während die Katze am Fenster sitzt.") == "de");
  CHECK(language("Le chat dort sur la table pendant que le chien regarde par la fenêtre.") == "fr");
  CHECK(language("El perro duerme debajo de la mesa mientras el gato mira por la ventana.") == "es");
  CHECK(language("Собака спит под большим столом, а кошка сидит у окна.") == "ru");
  CHECK(language("今天天气很好，我们一起去公园散步吧。") == "zh");
  CHECK(language("今日は天気がいいので、公園を散歩しましょう。") == "ja");
}

TEST_CASE("what is too short or no language is unknown") {
  const cld2_language language;
  for (const auto* text : {"", "ok", "Yes.", "12345 + 67890 = 80235", "!!! ??? ...",
                           "\xFF\xFE\xFD not utf-8 at all, but long enough to tell"}) {
    INFO(text);
    CHECK(language(text) == cld2_language::unknown);
  }
}

TEST_CASE("a very long text is read in part and in bounds") {
  std::string text;
  while (text.size() < (std::size_t{3} << 20)) text += "Übermorgen fährt der Zug über die Brücke nach München. ";
  CHECK(cld2_language{}(text) == "de");
}
