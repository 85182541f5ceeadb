#!/usr/bin/env python3
"""check_output.py EXPECTED PROGRAM [ARGUMENTS…]: runs a program, which must exit with 0 and print the text in the file EXPECTED.

Words must be equal. Numbers may differ by a relative 1e-6, or by one unit of their last printed digit, whichever is more: this
allows for other compilers and processors. The first line of the file may widen it: `# tolerance 0.01` (relative).
check_output.py --selftest: tests the comparison itself.
"""

import re
import subprocess
import sys

NUMBER = re.compile(r"[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?")


def last_digit(text):
    """One unit of the last digit of a printed number; 0 for integers, which are counts."""
    mantissa, _, exponent = text.lower().partition("e")
    if "." not in mantissa and not exponent:
        return 0.0
    return 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))


def close(expected, found, tolerance):
    if expected == found:
        return True
    allowed = max(tolerance * abs(float(expected)), last_digit(expected), last_digit(found) if "." in expected else 0.0)
    return abs(float(expected) - float(found)) <= allowed * (1 + 1e-9)


def split(text):
    """Words around numbers, ignoring alignment, and the numbers."""
    return [" ".join(words.split()) for words in NUMBER.split(text)], NUMBER.findall(text)


def differences(expected, found):
    """Numbers of the lines that differ, counted from 1."""
    lines = expected.splitlines()
    tolerance = 1e-6
    if lines and (stated := re.fullmatch(r"# tolerance (\S+)", lines[0])):
        tolerance = float(stated.group(1))
        lines = lines[1:]
    printed = found.splitlines()
    for i in range(max(len(lines), len(printed))):
        if i >= len(lines) or i >= len(printed):
            yield i + 1
            continue
        (words, numbers), (other_words, other_numbers) = split(lines[i]), split(printed[i])
        if words != other_words or not all(close(a, b, tolerance) for a, b in zip(numbers, other_numbers)):
            yield i + 1


def selftest():
    same = [("a 1.25 b\n", "a 1.25 b\n"), ("x 0.4567\n", "x 0.4568\n"), ("x -0.000\n", "x 0.000\n"), ("1234567.5", "1234567.9"),
            ("# tolerance 0.1\nx 10.5\n", "x 11.1\n"), ("1e-05", "1.0e-05"), ("x   2.5", "x 2.5"), ("p -0.25", "p  -0.25")]
    different = [("a 1.25\n", "b 1.25\n"), ("x 0.4567\n", "x 0.4569\n"), ("1 of 3", "2 of 3"), ("a\nb\n", "a\n"), ("a\n", "a\nb\n"),
                 ("x 1.5\n", "x nan\n"), ("x 1.5 2.5", "x 1.5"), ("# tolerance 0.01\nx 10.5\n", "x 11.5\n"), ("", "a"), ("0.25", "-0.25"),
                 ("1.5 2.5", "1.52 .5"), ("3", "3.4")]
    wrong = [pair for pair in same if list(differences(*pair))] + [pair for pair in different if not list(differences(*pair))]
    for pair in wrong:
        print(f"wrong verdict: {pair}")
    return 1 if wrong else 0


def main():
    if sys.argv[1:] == ["--selftest"]:
        return selftest()
    path, *command = sys.argv[1:]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    with open(path, encoding="utf-8") as file:
        expected = file.read()
    bad = list(differences(expected, done.stdout))
    if bad:
        print(f"---- expected ({path})\n{expected}---- printed\n{done.stdout}---- lines that differ: {', '.join(map(str, bad))}")
    if done.returncode != 0:
        print(f"{command[0]}: exit status {done.returncode}, not 0")
    return 1 if bad or done.returncode != 0 else 0


if __name__ == "__main__":
    sys.exit(main())
