"""Random templates: expressions of every operator, filter, test and method over values of every kind, and statements around
them with all forms of white space control."""

VARIABLES = {
    "n": 7, "zero": 0, "minus": -3, "big": 1 << 40, "x": 2.5, "tiny": 1e-7, "huge": 1e22, "yes": True, "no": False, "nothing": None,
    "s": "Hello, World", "empty": "", "spaced": "  a b\tc \n", "lines": "one\ntwo\r\nthree\n\n", "unicode": "Grüße ß Σας 日本 🎉 \u00a0",
    "quoted": "it's \"q\" \\ <b>&", "digits": "42", "real": " 3.25 ", "list": [3, 1, 2], "words": ["b", "A", "c", "a"],
    "mixed": [1, "a", None, 2.0, True, [1, 2], {"k": "v"}], "none_list": [], "d": {"b": 1, "a": [1, 2], "C": {"x": "y"}},
    "rows": [{"name": "x", "v": 1, "t": {"u": "p"}}, {"name": "Y", "v": 2, "t": {"u": "q"}}, {"name": "x", "v": 0}],
    "pairs": [["a", 1], ["b", 2]], "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo "}],
}
NAMES = [*VARIABLES, "missing", "ns", "loop"]
TEXTS = ["'a'", "'l'", "', '", "'x y'", "''", "'é'", "'\\n'", "'%s-%s'", "'{} {}'", "'name'", "'role'", "'v'", "\"it's\"", "'\\u00e9\\x41'", "'ab' 'cd'",
         "'%05.1f|%-4d|%x'", "'{0:>6}|{0!r}'", "'t.u'", "'ASCII Title-case'"]
NUMBERS = ["0", "1", "2", "3", "-1", "10", "2.0", "0.5", "1e3", "-2.5", "1_000", "0x1f", "100000"]
FILTERS = ["trim", "upper", "lower", "title", "capitalize", "length", "count", "string", "int", "float", "abs", "round", "list", "first", "last",
           "reverse|list", "sort", "unique|list", "sum", "min", "max", "tojson", "items|list", "dictsort", "e", "wordcount", "indent", "default('d')",
           "join", "join(', ')", "default('', true)", "replace('l', 'L')", "replace('a', 'bb', 1)", "tojson(indent=2)", "tojson(sort_keys=true)",
           "tojson(separators=(',', ':'))", "tojson(ensure_ascii=true)", "indent(2, true)", "indent('>', blank=true)", "round(1)", "round(1, 'ceil')",
           "round(0, 'floor')", "round(-1)", "int(5)", "int(base=16)", "float(1.5)", "map('upper')|list", "map('string')|join('-')", "map('length')|list",
           "map(attribute='name')|list", "map(attribute='t.u', default='-')|list", "map(attribute='0')|list", "select|list", "reject|list",
           "select('string')|list", "reject('none')|list", "select('gt', 1)|list", "selectattr('v')|list", "selectattr('name', 'equalto', 'x')|list",
           "rejectattr('v', 'odd')|list", "rejectattr('t')|list", "sort(attribute='v')", "sort(reverse=true)", "sort(case_sensitive=true)",
           "sort(attribute='name,v')", "sum('v')", "sum(attribute='v', start=10)", "join('/', attribute='name')", "min(attribute='v')", "max('name')",
           "dictsort(by='value')", "dictsort(reverse=true)", "dictsort(true)", "batch(2)|list", "batch(2, 'z')|list", "center(9)", "trim('Hd')", "format(1, 2)",
           "attr('upper')", "attr('a')", "unique(true)|list", "d", "safe|length", "first|upper", "list|length", "items", "reverse", "map('upper')"]
TESTS = ["defined", "undefined", "none", "string", "number", "integer", "float", "boolean", "true", "false", "mapping", "iterable", "sequence",
         "callable", "odd", "even", "divisibleby 2", "divisibleby(3)", "sameas none", "lower", "upper", "eq 1", "equalto 'a'", "ne none", "lt 3", "gt(1)",
         "ge 2", "le 2.5", "in [1, 'a', none]", "in 'Hello'", "in d", "not none", "not defined", "not string"]
METHODS = ["strip()", "lstrip()", "rstrip()", "strip('Hd')", "upper()", "lower()", "title()", "capitalize()", "swapcase()", "split()", "split(',')",
           "split('l', 1)", "rsplit('l', 1)", "split(none, 1)", "rsplit(none, 1)", "rsplit()", "split(maxsplit=1)", "splitlines()", "splitlines(true)",
           "startswith('He')", "endswith(('d', 'x'))", "startswith('l', 2)", "replace('l', '')", "replace('', '-')", "replace('l', 'LL', 1)", "find('l')", "rfind('l')",
           "find('l', 3, 5)", "index('l')", "rindex('o')", "count('l')", "count('')", "count('l', 3)", "join(['a', 'b'])", "join(words)", "join(mixed)", "format(1, 2)",
           "format(name='n')", "removeprefix('He')", "removesuffix('d')", "isdigit()", "isalpha()", "isalnum()", "isspace()", "isupper()", "islower()", "istitle()",
           "isdecimal()", "isascii()", "isprintable()", "partition(', ')", "rpartition('l')", "center(15, '*')", "ljust(15)", "rjust(15, '.')", "zfill(15)", "get('a')",
           "get('zz', 1)", "items()|list", "keys()|list", "values()|list", "index(1)", "count(1)", "copy()", "items()", "append(1)", "update({})", "pop()",
           "upper", "nope", "nope()", "__class__", "name", "a", "0", "role"]
# Not **: of -1 ** n Jinja writes Python whose value is another than that of its own folding.
BINARY = ["+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", "<=", ">", ">=", "and", "or", "in", "not in"]


def atom(r):
    k = r.random()
    if k < 0.5:
        return r.choice(NAMES)
    return r.choice(TEXTS) if k < 0.75 else r.choice(NUMBERS) if k < 0.93 else r.choice(["true", "False", "none", "[]", "()", "{}"])


def text(r, depth):
    """An expression whose value is most likely a text; those below are of numbers and of lists."""
    if depth <= 0 or r.random() < 0.15:
        return r.choice(["s", "empty", "spaced", "lines", "unicode", "quoted", "digits", "real", *TEXTS])
    k, of = r.randrange(9), text(r, depth - 1)
    if k < 3:
        return f"{wrapped(r, of)}|{r.choice(TEXT_FILTERS)}"
    if k < 5:
        return f"({of}).{r.choice(TEXT_METHODS)}"
    if k == 5:
        return f"({of} {r.choice(['+', '~'])} {text(r, depth - 1)})"
    if k == 6:
        return f"({of})[{r.choice(['1:', ':-1', '::2', '::-1', '2:5', '-3:', '0', '-1', ':3', '5:1:-2'])}]"
    if k == 7:
        return f"({of} if {number(r, 1)} > 1 else {text(r, depth - 1)})"
    return r.choice([f"({number(r, depth - 1)})|string", f"({sequence(r, depth - 1)})|join('{r.choice(', +')}')", f"({sequence(r, depth - 1)})|tojson", f"({of}) * 2"])


def number(r, depth):
    if depth <= 0 or r.random() < 0.2:
        return r.choice(["n", "zero", "minus", "big", "x", "tiny", "yes", *NUMBERS])
    k, of = r.randrange(5), number(r, depth - 1)
    if k < 2:
        return f"({of} {r.choice(['+', '-', '*', '/', '//', '%', '+', '-'])} {number(r, depth - 1)})"
    if k == 2:
        return f"({of})|{r.choice(['abs', 'round', 'round(1)', 'round(2, method=%s)' % repr('floor'), 'int', 'float', 'string|float', 'string|int', 'round(-1)'])}"
    if k == 3:
        return r.choice([f"({sequence(r, depth - 1)})|length", f"({text(r, depth - 1)})|length", f"({text(r, depth - 1)}).count('l')", f"({text(r, depth - 1)})|int", "rows|sum('v')"])
    return r.choice([f"-({of})", f"(2 ** (({of})|int % 5))", f"(x ** 3)", f"({of})|int % 7", f"({of} if {text(r, 1)} else {number(r, 1)})"])


def sequence(r, depth):
    if depth <= 0 or r.random() < 0.2:
        return r.choice(["list", "words", "mixed", "pairs", "rows", "messages", "none_list", "range(5)", "range(9, 0, -2)", "s", "d"])
    k, of = r.randrange(6), sequence(r, depth - 1)
    if k < 2:
        return f"({of})|{r.choice(LIST_FILTERS)}"
    if k == 2:
        return f"({text(r, depth - 1)}).{r.choice(['split()', 'splitlines()', 'split(%s)' % repr('l'), 'rsplit(none, 1)', 'partition(%s)' % repr(' '), 'split(%s, 1)' % repr('e')])}"
    if k == 3:
        return f"({of})|list" + r.choice(["[1:]", "[::-1]", "[:2]", "[-2:]", "[::2]"])
    if k == 4:
        return f"[{', '.join(r.choice([text, number, sequence])(r, depth - 1) for _ in range(r.randrange(4)))}]"
    return f"(({of})|list + ({sequence(r, depth - 1)})|list)"


def typed(r, depth):
    out = r.choice([text, text, number, sequence])(r, depth)
    return f"({out})|list" if r.random() < 0.3 else out


TEXT_FILTERS = ["trim", "upper", "lower", "title", "capitalize", "string", "replace('l', 'L')", "replace('', '.', 3)", "indent", "indent(2, true)", "tojson", "center(30)",
                "default('d')", "trim('Hd')", "reverse", "e", "safe", "first", "last", "list|join('.')", "tojson(ensure_ascii=true)", "wordcount|string", "escape|upper", "safe|trim"]
TEXT_METHODS = [m for m in METHODS[:60] if not m.startswith(("format", "get", "index", "rindex", "join(mixed", "items", "keys", "values", "copy", "append", "update", "pop"))]
LIST_FILTERS = ["list", "reverse|list", "unique|list", "map('string')|list", "map('upper')|list", "select|list", "reject('none')|list", "select('string')|list", "batch(2)|list",
                "map('string')|sort", "select('number')|sort(reverse=true)", "map('length')|list", "map(attribute='0')|list", "select('defined')|list", "first|list", "map('string')|unique|list"]


def expression(r, depth):
    if depth <= 0:
        return atom(r)
    if r.random() < 0.85:
        return typed(r, depth)
    inner = lambda: expression(r, depth - 1 - r.randrange(2))
    k = r.randrange(20)
    if k < 4:
        return f"{inner()} {r.choice(BINARY)} {inner()}"
    if k < 8:
        return f"{wrapped(r, inner())}|{r.choice(FILTERS)}"
    if k < 10:
        return f"{wrapped(r, inner())}.{r.choice(METHODS)}"
    if k == 10:
        return f"{inner()} is {r.choice(TESTS)}"
    if k == 11:
        return f"{wrapped(r, inner())}[{r.choice(NUMBERS + TEXTS + ['n', 'd', 'missing'])}]"
    if k == 12:
        bounds = ["", "", "0", "1", "2", "-1", "-2", "5", "100", "n", "none"]
        return f"{wrapped(r, inner())}[{r.choice(bounds)}:{r.choice(bounds)}{r.choice(['', '', ':', ':2', ':-1', ':-2', ':100', ':0'])}]"
    if k == 13:
        return f"({inner()} if {inner()}" + (f" else {inner()})" if r.random() < 0.7 else ")")
    if k == 14:
        return r.choice(["not ", "-", "+", "not not "]) + wrapped(r, inner())
    if k == 15:
        return "[" + ", ".join(inner() for _ in range(r.randrange(4))) + "]"
    if k == 16:
        return "{" + ", ".join(f"{atom(r)}: {inner()}" for _ in range(r.randrange(3))) + "}"
    if k == 17:
        return "(" + ", ".join(inner() for _ in range(r.randrange(1, 4))) + r.choice(["", ","]) + ")"
    if k == 18:
        return r.choice([f"range({r.choice(NUMBERS)})|list", f"range(1, {atom(r)}, 2)|list", f"dict(a={inner()})", f"dict({atom(r)})", f"namespace(a={inner()}).a",
                         f"range(10, 0, -3)[{r.choice(NUMBERS)}]", f"{atom(r)} < {atom(r)} <= {atom(r)}", f"{r.choice(TEXTS)} % {inner()}",
                         f"{r.choice(TEXTS)} % ({atom(r)}, {atom(r)})", "strftime_now('%d %b %Y %H:%M')", f"m({inner()})", f"m({atom(r)}, b={atom(r)})"])
    return f"({inner()})"


def wrapped(r, e):
    return f"({e})" if r.random() < 0.7 or not e.replace("_", "").isalnum() else e


SPACE = ["", " ", "\n", "\n  ", "  \n", "\t", " x ", "\n\n", "é"]


def tag(r, words):
    return "{%" + r.choice(["", "", "", "-", "+"]) + f" {words} " + r.choice(["", "", "", "-", "+"]) + "%}"


def shown(r, depth):
    return "{{" + r.choice(["", "", "-", "+"]) + " " + expression(r, depth) + " " + r.choice(["", "", "-"]) + "}}"


def body(r, depth, loop=False):
    return "".join(r.choice(SPACE) + statement(r, depth, loop) for _ in range(r.randrange(1, 4))) + r.choice(SPACE)


def statement(r, depth, loop=False):
    k = r.randrange(16)
    if depth <= 0 or k < 5:
        return shown(r, r.randrange(4))
    inner = lambda within=loop: body(r, depth - 1, within)
    if k < 7:
        middle = "".join(tag(r, f"elif {expression(r, 2)}") + inner() for _ in range(r.randrange(2)))
        last = tag(r, "else") + inner() if r.random() < 0.5 else ""
        return tag(r, f"if {expression(r, 2)}") + inner() + middle + last + tag(r, "endif")
    if k < 10:
        over = r.choice(["list", "words", "rows", "pairs", "d", "s", "range(4)", "missing", "d.items()", "messages", "[]", "mixed|select('string')", expression(r, 2)])
        names = r.choice(["i", "i", "i", "a, b", "(a, b)"]) if over not in ("pairs", "d.items()") else r.choice(["a, b", "i"])
        condition = f" if {r.choice(['i', 'loop is defined', 'i != 1', 'yes', expression(r, 1)])}" if r.random() < 0.3 else ""
        seen = r.choice(["", "{{ loop.index }}", "{{ loop.last }}", "{{ loop.length }}-{{ loop.revindex0 }}", "{{ loop.previtem }}{{ loop.nextitem }}", "{{ loop.cycle('p', 'q') }}",
                         "{{ loop.changed(i) }}", "{{ i }}", "{{ a }}={{ b }}", "{% if loop.first %}{% continue %}{% endif %}", "{% if loop.index > 2 %}{% break %}{% endif %}"])
        otherwise = tag(r, "else") + inner() if r.random() < 0.3 else ""
        return tag(r, f"for {names} in {over}{condition}") + seen + body(r, depth - 1, True) + otherwise + tag(r, "endfor")
    if k == 10:
        return tag(r, f"set {r.choice(['i', 's', 'q', 'ns.a', 'ns.b', 'a, b'])} = {expression(r, 2)}")
    if k == 11:
        return tag(r, f"set q{r.choice(['', ' | upper', ' | trim | title'])}") + inner() + tag(r, "endset")
    if k == 12:
        chain = r.choice(["upper", "trim", "indent(1) | title", "replace('a', '4')", "length"])
        return tag(r, f"filter {chain}") + inner() + tag(r, "endfilter")
    if k == 13:
        return tag(r, "generation") + inner(False) + tag(r, "endgeneration")
    if k == 14:
        return r.choice([tag(r, "raw") + "{{ x }} {% if %}" + r.choice(SPACE) + tag(r, "endraw"), "{#" + r.choice(["", "-", "+"]) + " c {{ " + r.choice(["", "-"]) + "#}",
                         tag(r, f"with q = {expression(r, 1)}, w = q") + "{{ q }}{{ w }}" + inner() + tag(r, "endwith"), tag(r, f"print {expression(r, 1)}")])
    return tag(r, "macro m(a, b=2, c='c')") + "{{ a }}{{ b }}{{ c }}{{ q }}" + body(r, depth - 1) + tag(r, "endmacro") + "{{ m(1, c=3) }}"


def random_cases(r, count):
    """(template, variables): half of them expressions only."""
    out = []
    for i in range(count):
        if i % 2:
            out.append(("{% set ns = namespace(a=1) %}{% macro m(a, b=2) %}<{{ a }},{{ b }}>{% endmacro %}{{ " + expression(r, 3) + " }}", VARIABLES))
        else:
            out.append(("{% set ns = namespace(a=1, b='') %}" + body(r, 3), VARIABLES))
    return out
