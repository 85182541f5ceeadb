#!/usr/bin/env python3
"""Compares chat templates here and in transformers, whose `apply_chat_template` is Jinja: rendered texts, what generation
tags mark, and which templates fail.

    chat_templates.py PROGRAM [FILE…] [--packages NAME…] [--count N]

PROGRAM: coho_chat of the build folder; FILE: a template, or a tokenizer_config.json with some, in addition to those here;
NAME: a package, installed or a folder, of which every template is compared: its .jinja files and the strings of its source;
N: random templates (5,000), of which those that fail in Jinja are not compared: failures have tests of their own.

`make test-peers` runs this; CHAT_TEMPLATES="…" names the files. Exits with 1 where anything differs.
"""

import argparse
import ast
import copy
import datetime
import importlib.util
import json
import pathlib
import random
import subprocess
import sys

import jinja2
import transformers
from chat_forms import FORMS, conversations
from chat_fuzz import random_cases
from transformers.utils import chat_template_utils


class FixedTime(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26, 8, 5, 9, tzinfo=tz)


chat_template_utils.datetime = FixedTime

# Messages of what is refused here on purpose, so that Jinja may do it: see docs/trainer.md.
REFUSED = ("not supported", "has no text", "the limit of chat templates", "more than 200 deep", "after the block",
           # Of constants Jinja folds a slice that fails to Undefined.
           "is not subscriptable", "unhashable type: 'slice'")


def theirs(template, variables):
    """What transformers renders, and the spans of generation in bytes."""
    given = {"messages": None, "tools": None, "documents": None, "add_generation_prompt": False, **copy.deepcopy(variables)}
    compiled = chat_template_utils._compile_jinja_template(template)
    text, spans = chat_template_utils._render_with_assistant_indices(compiled_template=compiled, **given)
    return {"text": text, "generated": spans}


def expected(template, variables):
    try:
        out = theirs(template, variables)
        out["text"].encode()
        return out
    except RecursionError:
        return {"error": "recursion"}
    except Exception as error:
        return {"error": str(error)}


def ours(program, cases):
    lines = "".join(json.dumps({"template": template, "variables": {
        "messages": None, "tools": None, "documents": None, "add_generation_prompt": False, **variables}}) + "\n"
        for template, variables in cases)
    done = subprocess.run([program], input=lines, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"chat_templates: {done.returncode} after {len(done.stdout.splitlines())} cases: {done.stderr[-3000:]}")
    return [json.loads(line) for line in done.stdout.split("\n") if line]


def same(answer, wanted, exact):
    if "error" in wanted:
        return "error" in answer
    if answer.get("text") != wanted["text"]:
        return False
    in_bytes = [[len(wanted["text"][:at].encode()) for at in span] for span in wanted["generated"]]
    if exact:
        return answer["generated"] == in_bytes
    # What a macro or a block writes is elsewhere in the text than its span, whose bytes cannot be told.
    return [span[0] for span in answer["generated"]] == [span[0] for span in in_bytes]


def compare(program, name, cases, shown=1):
    """Cases that rendered alike, that failed on both sides, that are refused here on purpose, and that differ."""
    counts = {"equal": 0, "both fail": 0, "refused": 0, "differ": 0, "fail in Jinja, not compared": 0}
    for (template, variables), answer in zip(cases, ours(program, cases), strict=True):
        wanted = expected(template, variables)
        if name == "random" and "error" in wanted:
            counts["fail in Jinja, not compared"] += 1
            continue
        if same(answer, wanted, name != "random"):
            counts["both fail" if "error" in wanted else "equal"] += 1
        elif any(words in answer.get("error", "") for words in REFUSED):
            counts["refused"] += 1
        else:
            counts["differ"] += 1
            if counts["differ"] <= shown:
                print(f"  {name}: {template[:600]!r}\n    with  {json.dumps(variables)[:600]}\n    there {wanted}\n    here  {answer}")
    return counts


def file_templates(path):
    text = pathlib.Path(path).read_text(encoding="utf-8")
    if not path.endswith(".json"):
        yield "/".join(pathlib.Path(path).parts[-2:]), text
        return
    given = json.loads(text).get("chat_template")
    for item in given if isinstance(given, list) else [{"name": "default", "template": given}]:
        if item["template"] is not None:
            yield f"{path}: {item['name']}", item["template"]


def package_templates(name):
    """The .jinja files of a package, and the strings of its Python source that go over messages."""
    spec = None if pathlib.Path(name).is_dir() else importlib.util.find_spec(name)
    if spec is None and not pathlib.Path(name).is_dir():
        raise SystemExit(f"chat_templates: the package {name} is not installed: install it with pip, or name its folder")
    root = pathlib.Path(spec.submodule_search_locations[0] if spec else name)
    for path in sorted(root.rglob("*.jinja")):
        yield f"{root.name}: {path.name}", path.read_text(encoding="utf-8")
    for path in sorted(root.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if "{%" not in source:
            continue
        tree = ast.parse(source)
        comments = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in comments | parts:
                if "{%" in node.value and "in messages" in node.value and "endfor" in node.value:
                    yield f"{root.name}: {path.name}:{node.lineno}", node.value


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("program")
    arguments.add_argument("files", nargs="*")
    arguments.add_argument("--packages", nargs="*", default=[])
    arguments.add_argument("--count", type=int, default=5000)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--shown", type=int, default=1)
    given = arguments.parse_args()
    print(f"Jinja {jinja2.__version__}, transformers {transformers.__version__}")
    templates = list(FORMS.items()) + [found for path in given.files for found in file_templates(path)]
    templates += [found for package in given.packages for found in package_templates(package)]
    total = {}
    for name, template in templates:
        counts = compare(given.program, name, [(template, variables) for variables in conversations()], given.shown)
        print(f"{name:<48} " + ", ".join(f"{count} {what}" for what, count in counts.items() if count), flush=True)
        total[name] = counts
    cases = random_cases(random.Random(given.seed), given.count)
    total["random"] = counts = compare(given.program, "random", cases, 10 * given.shown)
    print(f"{'random templates':<48} " + ", ".join(f"{count} {what}" for what, count in counts.items()))
    failed = [name for name, counts in total.items() if counts["differ"]]
    whole = [name for name, counts in total.items() if not counts["differ"] and not counts["refused"] and name != "random"]
    print(f"{len(whole)} of {len(templates)} templates render alike")
    if failed:
        sys.exit(f"chat_templates: differences in {', '.join(failed)}")


if __name__ == "__main__":
    main()
