#include "text/chat_export.hpp"

#include <string>

#include "support/catch.hpp"

using namespace coho::trainer;

TEST_CASE("page residue: the button of code goes, with the language before it") {
  CHECK(clean_chat_export("Fix this\n```pythonCopy code\nx = 1\n```") == "Fix this\n```python\nx = 1\n```");
  CHECK(clean_chat_export("```Copy code\nx\n```") == "```\nx\n```");
  CHECK(clean_chat_export("```cssCopy codea { }\n```") == "```css\na { }\n```");
  CHECK(clean_chat_export("Fix this\njavascriptCopy codelet x\nCopy code\npythonCopy code\nend") ==
        "Fix this\nlet x\nend");
  CHECK(clean_chat_export("Copy120 chars / 21 words\nWhy?") == "Why?");
}

TEST_CASE("page residue: words of the message itself stay") {
  for (const std::string text :
       {"How do I add a Copy code button?", "Copy code from a book", "Explain: Copy code", "poemCopy code x",
        "What is\n3 / 4", "1 / 2", "a\n\n5 / 4", "```python\nprint(1)\n```", "CopyX chars / 2 words",
        "What does <div class=\"x\"> do in a page? And </div>?", "Is a < b && b > c?", "What does &amp; mean in HTML?",
        "AT&T or &lt;?", "Use std::vector<int> here"}) {
    CHECK(clean_chat_export(text) == text);
  }
}

TEST_CASE("page residue: the pager between versions goes from the ends") {
  CHECK(clean_chat_export("2 / 3\n\nWhy?") == "Why?");
  CHECK(clean_chat_export("Why?\n\n1 / 1\n") == "Why?\n");
  CHECK(clean_chat_export("Why?\n\n12 / 15") == "Why?\n");
}

TEST_CASE("page residue: HTML of the page becomes text, references of an escaped message are decoded") {
  CHECK(clean_chat_export("<div class=\"markdown prose w-full\"><p>Why?</p><p>And how?</p></div>") ==
        "Why?\n\nAnd how?");
  CHECK(clean_chat_export("Why? <div class=\"flex flex-col\"><span>x</span></div> <div>kept</div>") ==
        "Why? <span>x</span> <div>kept</div>");
  CHECK(clean_chat_export("Is 1 &lt; 2 &amp; 2 &gt; 1? I don&#39;t know") == "Is 1 < 2 & 2 > 1? I don't know");
}
