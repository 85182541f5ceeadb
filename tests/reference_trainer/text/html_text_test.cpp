#include "text/html_text.hpp"

#include <string>

#include "support/catch.hpp"

using namespace coho::trainer;

TEST_CASE("character references are decoded once, what is none stays") {
  CHECK(decode_character_references("a &lt; b &amp;&amp; c &gt; d") == "a < b && c > d");
  CHECK(decode_character_references("&#39;&#x27;&#X1F600;&quot;&nbsp;") == "''😀\" ");
  CHECK(decode_character_references("&amp;lt;") == "&lt;");
  CHECK(decode_character_references("R&D; AT&T & &unknown; &#0; &#xD800; &#1114112; &;") ==
        "R&D; AT&T & &unknown; &#0; &#xD800; &#1114112; &;");
}

TEST_CASE("tags are told from text that looks like them") {
  const auto tag = read_html_tag("<DIV class=\"a>b\" id='x'>rest");
  CHECK(tag.length == 24);
  CHECK(tag.name == "div");
  CHECK_FALSE(tag.closing);
  CHECK(tag.attributes == " class=\"a>b\" id='x'");
  CHECK(read_html_tag("</h2 >").closing);
  CHECK(read_html_tag("</h2 >").name == "h2");
  CHECK(read_html_tag("<br/>").name == "br");
  CHECK(read_html_tag("<!-- a > b -->x").length == 14);
  for (const auto* text : {"<", "< b", "<3 you", "<=", "<vector>x", "a<b>", "<div", "<a <b>", "<user@mail.org>"}) {
    CAPTURE(text);
    CHECK((read_html_tag(text).length == 0 || read_html_tag(text).name == "vector"));
  }
}

TEST_CASE("a fragment of HTML becomes text with its paragraphs, lists and code") {
  CHECK(html_to_text("<p>Sort <code>a</code> &amp; <b>b</b></p>\n<ul>\n<li>up</li>\n<li>down</li>\n</ul><p>now</p>") ==
        "Sort `a` & b\n\n- up\n- down\n\nnow");
  CHECK(html_to_text("<div>one<br>two</div><div>three</div>") == "one\ntwo\nthree");
  CHECK(html_to_text(
            "<p>x</p><pre><div><span>python</span><button>Copy code</button></div><div><code class=\"hljs "
            "language-python\">if a &lt; b:\n    <span class=\"hljs-keyword\">pass</span>\n</code></div></pre>") ==
        "x\n\n```python\nif a < b:\n    pass\n```");
  CHECK(html_to_text("<pre>a\n  b</pre>end") == "```\na\n  b\n```\n\nend");
  CHECK(html_to_text("<style>p { }</style><p>1 < 2</p><!-- no --><script>x</script>") == "1 < 2");
  CHECK(html_to_text("") == "");
  CHECK(html_to_text("<p>not closed <pre>x") == "not closed\n\n```\nx\n```");
}

TEST_CASE("html_text: many comments that do not end take no longer than as much text") {
  std::string text;
  for (int i = 0; i < 200'000; ++i) text += "<!--";
  CHECK(html_to_text(text) == text);
}
