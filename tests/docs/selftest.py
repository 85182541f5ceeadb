"""Tests of tools/docs_snippets: each kind of mistake in a page is told."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

TOOL = pathlib.Path(__file__).resolve().parents[2] / "tools" / "docs_snippets"


class Check(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)
        self.write("include/coho/loss/x.hpp", 'static_assert(false, "coho::x (1): "\n   "none");\n')
        self.write("docs/other.md", "# Other\n\nIn `coho/loss/x.hpp`.\n")

    def tearDown(self):
        self.folder.cleanup()

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def run_tool(self, *arguments):
        return subprocess.run([sys.executable, TOOL, "--root", self.root, *arguments], capture_output=True, text=True)

    def told(self, page):
        self.write("docs/page.md", page)
        done = self.run_tool("--check")
        self.assertEqual(done.returncode, 1 if done.stdout else 0, done.stderr)
        return done.stdout

    def program(self, page, kind="core"):
        self.write("docs/page.md", page)
        self.assertEqual(self.run_tool("--program", kind, "--out", self.root / "out.cpp").returncode, 0)
        return (self.root / "out.cpp").read_text(encoding="utf-8")

    def test_a_page_without_mistake_passes(self):
        page = "# A b, c\n\n```cpp\nint x;\n```\n\n[other](other.md#other) [here](#a-b-c)\n\n```text\nx\n```\n"
        self.assertEqual(self.told(page), "")

    def test_code_that_would_not_be_compiled_is_told(self):
        for fence in ("", "c++", "C++"):
            self.assertIn("a fence of language", self.told(f"```{fence}\nint x;\n```\n"))
        self.assertIn("reads as C++", self.told("x\n\n```text\ncoho::gae(r, v);\n```\n"))
        self.assertIn("indented C++", self.told("x\n\n    coho::gae(r, v);\n"))

    def test_marks_are_checked(self):
        self.assertIn("no such mark", self.told("<!-- snippet: fragmnt -->\n```cpp\nint x;\n```\n"))
        self.assertIn("say why", self.told("<!-- snippet: fragment -->\n```cpp\nint x;\n```\n"))
        self.assertIn("belongs to no block", self.told("<!-- snippet: torch -->\ntext\n\n```cpp\nint x;\n```\n"))
        self.assertIn("continues no block", self.told("<!-- snippet: continues -->\n```cpp\nint x;\n```\n"))
        self.assertIn("not that of", self.told("<!-- file: none.cpp -->\n```cpp\nint x;\n```\n"))

    def test_links_and_headers_are_checked(self):
        self.assertIn("does not exist", self.told("[a](none.md)\n"))
        self.assertIn("has no section #none", self.told("[a](other.md#none)\n"))
        self.assertIn("is outside the site", self.told("[a](../include/coho/loss/x.hpp)\n"))
        self.assertIn("<coho/loss/y.hpp> does not exist", self.told("`coho/loss/y.hpp`\n"))
        self.write("docs/other.md", "# Other\n")
        self.assertIn("include/coho/loss/x.hpp:1: no page", self.told("# Page\n"))

    def test_options_that_no_page_explains_are_told(self):
        self.write("include/coho/loss/x.hpp", "struct x_options {\n  double clip = 0.2;  ///< what\n  kind form{kind::a}, shape{};\n"
                   "  std::optional<int> seed{};\n  static x_options paper() {\n    int inside = 0;\n  }\n};\n")
        self.assertEqual(self.told("`clip`, `form`, `shape`, `seed` of `coho/loss/x.hpp`\n"), "")
        told = self.told("`clip` and `form` of `coho/loss/x.hpp`\n")
        self.assertIn("x.hpp:3: no page that names this header documents shape", told)
        self.assertIn("x.hpp:4: no page that names this header documents seed", told)
        self.assertNotIn("inside", told)

    def test_diagnostics_are_those_of_the_headers(self):
        self.assertEqual(self.told("<!-- diagnostic -->\n```text\ncoho::x (1): none\n```\n"), "")
        self.assertIn("no header says this", self.told("<!-- diagnostic -->\n```text\ncoho::x (1): some\n```\n"))

    def test_a_program_holds_the_blocks_in_their_order_with_what_they_print(self):
        text = self.program("<!-- snippet: preamble\nint a = 1;\n-->\n```cpp\n#include <vector>\nint b;\n```\n\n```text\n7\n```\n"
                            "<!-- snippet: continues -->\n```cpp\nint c;\n```\n<!-- snippet: torch -->\n```cpp\nint d;\n```\n"
                            "<!-- snippet: fragment: why -->\n```cpp\nint e\n```\n")
        places = [text.index(part) for part in ("#include <vector>", "int a = 1;", "int b;", '_coho_(7)', "int c;")]
        self.assertEqual(places, sorted(places))
        self.assertNotIn("int d;", text)
        self.assertNotIn("int e", text)
        self.assertEqual(text.count("void line_"), 1)
        self.assertIn("int d;", self.program("<!-- snippet: torch -->\n```cpp\nint d;\n```\n", "torch"))


if __name__ == "__main__":
    unittest.main()
