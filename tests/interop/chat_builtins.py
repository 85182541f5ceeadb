#!/usr/bin/env python3
"""Writes the table that tests/reference_trainer/chat_template/builtins_test.cpp checks: what Jinja, set up as transformers does
it, makes of every filter, test, method and function that chat templates may use, with right and with wrong arguments.

    chat_builtins.py           writes tests/reference_trainer/chat_template/builtins.jsonl
    chat_builtins.py --check   exits with 1 where the table is not what the installed Jinja gives

A line is [kind, name, template, texts]: the texts of the template with each of the kind's values in the place of @, null where it
fails, false where nothing is compared. The first line has the variables and the values.
"""

import argparse
import copy
import json
import pathlib
import sys

from transformers.utils import chat_template_utils

TABLE = pathlib.Path(__file__).resolve().parent.parent / "reference_trainer/chat_template/builtins.jsonl"

VARIABLES = {
    "n": 7, "x": 2.5, "yes": True, "nothing": None, "s": "Hello, World", "u": "Grüße ΑΣ", "empty": "", "l": [3, 1, 2], "w": ["b", "A", "c", "a"],
    "none_in": [], "mixed": [1, "a", None, 2.5, [1], {"k": "v"}], "d": {"b": 1, "a": [1, 2], "C": None}, "counts": {"y": 2, "X": 3, "z": 1},
    "rows": [{"name": "x", "v": 1, "t": {"u": "p"}}, {"name": "Y", "v": 2, "t": {"u": "q"}}, {"name": "x", "v": 0}],
}
# One of each kind of value, and some more.
ANY = ["n", "-3", "x", "-0.5", "yes", "nothing", "missing", "s", "u", "empty", "' 4.5 '", "'a\\nb\\n\\nc'", "l", "w", "none_in", "mixed", "(3, 1)",
          "d", "counts", "{}", "rows", "range(4)", "counts.items()", "counts.keys()", "w | map('upper')", "'<i>\"' | safe", "namespace(a=1)", "range"]
WRONG = ["(1, 2, 3, 4, 5, 6)", "(nonsense=1)", "(1, nonsense=1)"]
# Of a generator the text is an address: these are read into lists.
LAZY = {"map", "select", "reject", "selectattr", "rejectattr", "batch", "unique", "items", "reverse", "list"}
COMPARED = ["(1)", "('a')", "(2.5)", "(none)", "([3, 1, 2])", "()", "(other=1)"]

FILTERS = {
    "abs": [], "attr": ["('name')", "('b')", "('upper')", "(1)", "('__class__')", "(name='v')", "()"],
    "batch": ["(2)", "(2, '-')", "(linecount=3, fill_with=none)", "(0)", "()"],
    "capitalize": [], "center": ["(15)", "(width=3)", "(-1)", "('9')", "(9.5)"], "count": [],
    "d": ["('z')", "('z', true)", "(default_value='z')"],
    "default": ["('z')", "('z', true)", "(none)", "(default_value='z', boolean=true)", "('z', 'false')"],
    "dictsort": ["(true)", "(by='value')", "(false, 'value', true)", "(reverse=true)", "(by='other')", "(case_sensitive=true, reverse=true)"],
    "e": [], "escape": [], "first": [], "float": ["(1.5)", "(default='z')", "(none)"], "forceescape": [],
    "format": ["(1)", "('a', 2)", "(a=1)", "(1, a=2)"],
    "indent": ["(2)", "('> ')", "(2, true)", "(width=1, first=true, blank=true)", "(none)", "(2.5)", "(-1)", "(2, blank=true)"],
    "int": ["(5)", "(0, 16)", "(base=2)", "(default='z')", "(none)", "(0, 99)", "(0, 'x')"], "items": [],
    "join": ["(', ')", "(d='-')", "('/', 'name')", "(attribute='v')", "(1)", "(none)", "('-', 'missing')", "('-', attribute=0)"],
    "last": [], "length": [], "list": [], "lower": [],
    "map": ["('upper')", "('length')", "('string')", "(attribute='name')", "(attribute='t.u', default='-')", "(attribute=0)", "('default', 'z')",
            "('replace', 'a', 'b')", "('nonsense')", "('upper', 1)", "(attribute='v', nonsense=1)", "()", "(1)", "(attribute='name', default=none)"],
    "max": ["(true)", "(attribute='v')", "(false, 'name')", "(attribute='missing')", "('x')"],
    "min": ["(true)", "(attribute='v')", "(false, 'name')", "(attribute='missing')", "('x')"],
    "reject": ["('none')", "('gt', 1)", "('string')", "('nonsense')", "('in', [1, 'a'])", "('gt')", "('==', 1)", "(1)"],
    "rejectattr": ["('v')", "('name', 'equalto', 'x')", "('t.u')", "('v', 'odd')", "()", "('v', 'nonsense')", "(0)"],
    "replace": ["('l', 'L')", "('', '-')", "('l', 'L', 1)", "(old='a', new='bb')", "('l', 'L', count=2)", "('l', 'L', -1)", "('l', 1)", "(1, 2)", "('l')",
                "('l', 'L', 'x')", "(none, 'x')"],
    "reverse": [], "round": ["(1)", "(0, 'ceil')", "(1, 'floor')", "(precision=-1)", "(0, 'other')", "('1')", "(method='common')", "(2, 'ceil')", "(none)"],
    "safe": [], "select": ["('none')", "('gt', 1)", "('string')", "('nonsense')", "('in', [1, 'a'])", "('lt', 'b')", "('<', 3)", "(1)"],
    "selectattr": ["('v')", "('name', 'equalto', 'x')", "('t.u', 'defined')", "('v', 'even')", "()", "('v', 'gt')", "(0)", "('name', 'in', ['x'])"],
    "sort": ["(true)", "(reverse=true)", "(case_sensitive=true)", "(attribute='v')", "(attribute='name,v')", "(false, true, 'name')", "(attribute='t.u')",
             "(attribute=0)", "('x')"],
    "string": [], "sum": ["('v')", "(attribute='v', start=10)", "(start=0.5)", "(start='x')", "(start=[])", "('missing')", "(0)"],
    "title": [], "tojson": ["(2)", "(indent=2)", "(sort_keys=true)", "(ensure_ascii=true)", "(separators=(',', ':'))", "(indent='-')", "(separators=1)",
                            "(separators=(',',))", "(true, 1, (';', '='), true)", "(indent=none)", "(indent=0)"],
    "trim": ["('Hd')", "(chars=' c4')", "(none)", "('')", "(1)"],
    "unique": ["(true)", "(attribute='name')", "(false, 'v')", "(attribute='missing')", "('x')"], "upper": [], "wordcount": [],
}
TESTS = {
    **{name: [] for name in ("boolean", "callable", "defined", "even", "false", "float", "integer", "iterable", "lower", "mapping", "none", "number", "odd",
                             "sequence", "string", "true", "undefined", "upper")},
    **{name: COMPARED for name in ("eq", "equalto", "ge", "greaterthan", "gt", "le", "lessthan", "lt", "ne", "==", "!=", "<", "<=", ">", ">=")},
    "divisibleby": ["(3)", "(num=7)", "(0)", "('a')", "(2.5)", "()", "(none)"],
    "in": ["([7, 'Hello, World', 2.5, none])", "('Hello, World!')", "(d)", "(seq=l)", "(1)", "(range(8))", "()", "(none)"],
    "sameas": ["(none)", "(true)", "(other=true)", "()", "(missing)"],
}
TEXT_METHODS = {
    **{name: [] for name in ("capitalize", "isalnum", "isalpha", "isascii", "isdecimal", "isdigit", "islower", "isprintable", "isspace", "istitle",
                             "isupper", "lower", "swapcase", "title", "upper")},
    **{name: ["(15)", "(15, '*')", "(3)", "(-1)", "(15, '')", "(15, 'ab')", "(15, 1)", "('9')", "(2.5)", "(width=9)", "(true)", "(12, 'é')"]
       for name in ("center", "ljust", "rjust")},
    "count": ["('l')", "('')", "('l', 3)", "('l', -3, -1)", "('b', none, 4)", "(1)", "('l', 'x')", "(sub='l')", "('', 50)", "('', 5, 2)"],
    **{name: ["('l')", "('o', 5)", "('', 3)", "('b', -3)", "('l', none, 4)", "('zz')", "(1)", "('l', 'x')", "(sub='l')", "('', 50)", "('l', 2.5)"]
       for name in ("find", "rfind", "index", "rindex")},
    **{name: ["('He')", "(('x', 'ld', 'c'))", "('l', 2)", "('', 50)", "('b', -2, 99)", "(1)", "(['H'])", "(())", "('l', 'x')", "(prefix='H')", "(none)"]
       for name in ("startswith", "endswith")},
    "format": ["(1)", "('a', 'b')", "(a=1)"],
    "join": ["(w)", "([])", "('abc')", "(d)", "(mixed)", "(1)", "(none)", "((w | map('upper')))", "(iterable=w)", "(('a',))"],
    **{name: ["('l')", "(', ')", "('x')", "('')", "(1)", "(none)", "(sep='l')"] for name in ("partition", "rpartition")},
    **{name: ["('He')", "('d')", "('')", "(1)", "(none)", "(prefix='H')", "(u)"] for name in ("removeprefix", "removesuffix")},
    "replace": ["('l', 'L')", "('', '-')", "('l', 'LL', 1)", "('a', '', 0)", "('', '-', 2)", "('l', 1)", "(1, 'l')", "('l')", "('l', 'L', 'x')",
                "('l', 'L', count=1)", "('l', 'L', none)", "('ß', 'ss')"],
    **{name: ["(',')", "('l', 1)", "(none, 1)", "(sep='l', maxsplit=2)", "(maxsplit=0)", "('')", "(1)", "('l', 'x')", "(none, -1)", "('ll')", "(' ')",
              "('l', 2.5)", "('l', none)"] for name in ("split", "rsplit")},
    "splitlines": ["(true)", "(false)", "(keepends=true)", "(1)", "('x')", "(none)"],
    **{name: ["('Hd')", "(' c')", "('')", "(none)", "(1)", "(chars='a')", "('üG')"] for name in ("strip", "lstrip", "rstrip")},
    "zfill": ["(15)", "(2)", "(-1)", "('3')", "(2.5)", "(width=3)", "(none)"],
}
METHODS = {
    "str": TEXT_METHODS,
    "dict": {"copy": [], "items": [], "keys": [], "values": [], "pop": ["('a')"], "update": ["({})"], "setdefault": ["('a')"], "clear": [],
             "popitem": [], "get": ["('a')", "('zz')", "('zz', 5)", "(1)", "([])", "(key='a')", "('C', 5)", "('a', default=1)"]},
    "list": {"count": ["(3)", "(none)", "([1])", "(1.0)", "(true)", "(value=1)"], "copy": [], "append": ["(1)"], "clear": [], "extend": ["([])"],
             "insert": ["(0, 1)"], "pop": [], "remove": ["(1)"], "reverse": [], "sort": [],
             "index": ["(3)", "(2, 1)", "(1, 0, 1)", "('zz')", "(1, -2)", "(1, 'x')", "(value=1)", "([1])"]},
    "tuple": {"count": ["(3)", "(none)", "(value=1)"], "index": ["(3)", "(3, 1)", "(9)", "(1, 0, 1)"]},
    "range": {"count": ["(5)", "('a')"], "index": ["(5)", "(6)", "(2)"]},
}
FUNCTIONS = {
    "range": ["(3)", "(1, 4)", "(9, 2, -3)", "(0)", "(-1)", "(1, 4, 0)", "('3')", "(2.5)", "()", "(1, 2, 3, 4)", "(stop=3)", "(none)", "(true)", "(100001)", "(5, 5)"],
    "dict": ["()", "(a=1, b='x')", "(d)", "(d, a=2)", "([['a', 1], ('b', 2)])", "([1])", "(1)", "(d, d)", "('ab')", "(['ab', 'cd'])", "([[1]])"],
    "namespace": ["().a", "(a=1).a", "(d).b", "(d, b=5).b", "([['a', 1]]).a", "(1).a", "(d, d).a", "(a=1).b"],
    "raise_exception": ["('no')", "()", "(1)", "('a', 'b')", "(message='no')"],
    "strftime_now": ["()", "(1)", "('a', 'b')"],
}


VALUES = {
    "filter": ANY, "test": ANY, "function": ["none"],
    "str": ["s", "u", "empty", "'  a b\\tc '", "\"they're ßx 12\"", "'ABC'", "'a\\r\\nb\\x0bc\\n'", "'Aa Bb'", "'²³'", "'-7'", "'{} %s {0}'"],
    "dict": ["d", "{}", "{1: 'one', none: 2}"], "list": ["l", "[]", "mixed"], "tuple": ["(3, 1, 3)", "()"], "range": ["range(2, 9, 3)", "range(0)"],
}
# The text of these values is an address, which is not the same twice and which coho refuses to write.
ADDRESSED = {"w | map('upper')", "range"}
READS_TEXT = {"replace", "title", "upper", "lower", "wordcount", "attr"}
NOT_COMPARED = {
    # Python 3.13 takes this count by name.
    *(("{{ (@).replace('l', 'L', count=1) }}", value) for value in VALUES["str"]),
    # coho refuses to format what is marked as safe, and to look into what is not there.
    *((f"{{{{ (@) | format{given} }}}}", "'<i>\"' | safe") for given in ("", "(1)", "('a', 2)", "(a=1)", "(1, a=2)", *WRONG)),
    ("{{ (@) | attr('__class__') }}", "missing"),
}


def calls():
    """(kind, name, template), where @ is the place of a value."""
    for name, arguments in FILTERS.items():
        for given in ["", *arguments, *WRONG]:
            yield "filter", name, f"{{{{ (@) | {name}{given}{' | list' if name in LAZY else ''} }}}}"
    for name, arguments in TESTS.items():
        for given in ["", *arguments, *WRONG]:
            if name.isalpha():
                yield "test", name, f"{{{{ (@) is {name}{given} }}}}"
            else:
                # As operators they are names only for filters.
                yield "test", name, f"{{{{ [(@)] | select('{name}'{', ' if given[1:-1] else ''}{given[1:-1]}) | list | length }}}}"
    for kind, methods in METHODS.items():
        for name, arguments in methods.items():
            for given in ["()", *arguments, *WRONG]:
                yield kind, name, f"{{{{ (@).{name}{given} }}}}"
    for name, arguments in FUNCTIONS.items():
        for given in [*arguments, *WRONG]:
            yield "function", name, f"{{{{ {name}{given}{' | list' if name == 'range' else ''} }}}}"


def rendered(template):
    """Jinja's text, or None where it fails."""
    try:
        compiled = chat_template_utils._compile_jinja_template(template)
        text = compiled.render(**copy.deepcopy(VARIABLES))
        text.encode()
        return text
    except Exception:
        return None


def cell(name, template, value):
    """The text, or None where Jinja fails, or False for what is not compared."""
    if value in ADDRESSED and name in READS_TEXT or (template, value) in NOT_COMPARED:
        return False
    text = rendered(template.replace("@", value))
    return False if " at 0x" in (text or "") or "<bound method" in (text or "") else text


def table():
    lines = [json.dumps({"variables": VARIABLES, "values": VALUES}, ensure_ascii=False)]
    for kind, name, template in dict.fromkeys(calls()):
        row = [kind, name, template, [cell(name, template, value) for value in VALUES[kind]]]
        lines.append(json.dumps(row, ensure_ascii=False, separators=(",", ":")))
    return "\n".join(lines) + "\n"


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--check", action="store_true")
    text = table()
    if not arguments.parse_args().check:
        TABLE.write_text(text)
    elif TABLE.read_text() != text:
        sys.exit(f"chat_builtins: {TABLE.name} is not what this Jinja gives: run tests/interop/chat_builtins.py and look at the difference")


if __name__ == "__main__":
    main()
