"""Byte pair encoding here and in the `tokenizers` library, on one core and the same texts in one run. Run by bench/peers/compare.

    tokenizers.py PROGRAM [FILE…]     PROGRAM: coho_tokens of the build folder; FILE: a tokenizer.json, in addition to two made here

Both sides keep the tokens of words that they have met: "first pass" is measured on new tokenizers, "later passes" on texts that
they have encoded before. Exits with 1 where the ratio is below 0.5.
"""
import os
import pathlib
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"

# This file's name is that of the library.
HERE = pathlib.Path(__file__).resolve().parent
sys.path = [str(HERE.parent.parent / "tests/interop"), *(entry for entry in sys.path if pathlib.Path(entry or ".").resolve() != HERE)]

import tokens
from token_texts import real_texts
from tokenizers import Tokenizer, __version__

MADE = ("Llama 3's words", "sentencepiece, Metaspace first")
LEAST = 0.5


def their_seconds(path, given, passes):
    """Of processor time: the fastest of three first passes, or of the later ones of one tokenizer."""
    best = float("inf")
    tokenizer = Tokenizer.from_file(path)
    if passes == "later":
        tokenizer.encode_batch(given, add_special_tokens=False)
    for _ in range(3):
        if passes == "first":
            tokenizer = Tokenizer.from_file(path)
        begin = time.process_time()
        tokenizer.encode_batch(given, add_special_tokens=False)
        best = min(best, time.process_time() - begin)
    return best


def own_seconds(program, path, given, passes):
    if passes == "later":
        return float(tokens.ours(program, path, given, "4")[0])
    return min(float(tokens.ours(program, path, given, "1")[0]) for _ in range(3))


def main():
    program, *files = sys.argv[1:]
    given = list(real_texts())
    size = sum(len(text.encode()) for text in given) / 1e6
    lines = [f"{'against tokenizers ' + __version__:<50} {'coho':>12} {'tokenizers':>14} {'ratio':>8}"]
    slow = []
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name, tokenizer in tokens.made():
            if name in MADE:
                path = f"{folder}/{len(paths)}.json"
                tokenizer.save(path)
                paths.append((name, path))
        paths += [(pathlib.Path(path).resolve().parent.name, path) for path in files]
        for name, path in paths:
            for passes in ("first", "later"):
                here, there = own_seconds(program, path, given, passes), their_seconds(path, given, passes)
                title = f"{name}, {'first pass' if passes == 'first' else 'later passes'}"
                lines.append(f"{title:<50} {size / here:>7.2f} MB/s {size / there:>9.2f} MB/s {there / here:>8.2f}")
                if there / here < LEAST:
                    slow.append(title)
    print("\n".join(lines))
    table = os.environ.get("COHO_BENCH_TABLE")
    if table:
        with open(table, "a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    if slow:
        sys.exit(f"tokenizers: below {LEAST} × the speed of tokenizers: {'; '.join(slow)}")


if __name__ == "__main__":
    main()
