"""Texts on which tokenizers are compared: of all scripts, with every kind of white space, and random ones."""

import pathlib
import random
import unicodedata

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Beginnings of blocks whose characters behave differently: scripts, marks, digits, symbols, emoji, joiners.
BLOCKS = [0x20, 0xA0, 0x100, 0x250, 0x300, 0x370, 0x400, 0x530, 0x590, 0x600, 0x660, 0x900, 0x966, 0xE00, 0x1100, 0x16EE, 0x1E00,
          0x1F00, 0x2000, 0x2070, 0x20D0, 0x2150, 0x2460, 0x2500, 0x2C00, 0x3000, 0x3040, 0x30A0, 0x3130, 0x3200, 0x3400, 0x4E00,
          0xA000, 0xA640, 0xAC00, 0xF900, 0xFB00, 0xFB50, 0xFE00, 0xFF00, 0x10000, 0x10330, 0x1D400, 0x1F100, 0x1F300, 0x1F600,
          0x1F900, 0x20000, 0xE0100]
SPACES = [" ", "  ", "   ", "\n", "\r\n", "\n\n", "\t", "\u00a0", "\u0085", "\u3000", "\u2028", "\u200b", "\u1680", "\x1c", "\x0b", " \n"]
WORDS = ["'s", "'S", "'ll", "'LL", "'\u017f", "don't", "I'VE", "McDonald", "x86_64", "1234567", "3.14", "\u2160\u2161", "\u0661\u0662", "\u00bd",
         "na\u00efve", "nai\u0308ve", "\u212bngstrom", "\ufb01n", "\u00c5", "\uff21\uff22", "\u4f60\u597d", "\u3053\u3093", "\ud55c\uad6d\uc5b4", "\u1112\u1161\u11ab",
         "\u0928\u092e\u0938\u094d\u0924\u0947", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "\u0645\u0631\u062d\u0628\u0627", "\u05e9\u05dc\u05d5\u05dd", "\u0130stanbul", "\u039f\u0394\u039f\u03a3",
         "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "\u2764\ufe0f", "\U0001f44d\U0001f3fd", "<|", "|>", "</s>", "<s>", "[INST]", "<0x41>", "\u2581",
         "\u2581\u2581", "_", "__init__", "->", "...", "\u2026", "\u2014", "\u00ab\u00bb", "!?", "((", "//", "\\", "#include", "\x00", "\x07", "\x7f", "\u200d", "\ufeff",
         "\ufffd", "\u0301", "\u180e", "e\u0301\u0323"]


def known(code):
    """Whether the character is assigned and no surrogate, and no mark that a normaliser of an older Unicode orders otherwise."""
    character = chr(code)
    if unicodedata.category(character) in ("Cn", "Cs", "Co"):
        return False
    return unicodedata.combining(character) == unicodedata.ucd_3_2_0.combining(character)


def real_texts():
    """Pieces of this project's own files, in prose and code."""
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("include/coho/*.hpp"), *ROOT.glob("reference_trainer/*/*.cpp")]):
        text = path.read_text(encoding="utf-8")
        for at in range(0, len(text), 700):
            yield text[at:at + 700]


def random_text(generator, special):
    """A text of up to 40 parts. `special`: spellings of the tokenizer's added tokens."""
    out = []
    kind = generator.random()
    for _ in range(generator.randrange(1, 40)):
        choice = generator.random()
        if kind < 0.15:  # characters of anywhere
            code = generator.randrange(0x110000) if choice < 0.3 else generator.randrange(0x3000)
            out.append(chr(code) if known(code) else "?")
        elif choice < 0.3:
            out.append(generator.choice(WORDS))
        elif choice < 0.5:
            out.append(generator.choice(SPACES))
        elif choice < 0.6 and special:
            out.append(generator.choice(special))
        elif choice < 0.8:
            block = generator.choice(BLOCKS)
            codes = [block + generator.randrange(0x60) for _ in range(generator.randrange(1, 8))]
            out.append("".join(chr(code) for code in codes if known(code)))
        else:
            letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123456789 .,;:'\"\n-"
            out.append("".join(generator.choice(letters) for _ in range(generator.randrange(1, 15))))
    return "".join(out)


def texts(count, special, seed=1):
    generator = random.Random(seed)
    out = ["", " ", "  ", "\n", "a", " a", "\u2581", "a" * 3000, " " * 3000, "ab" * 2000, "\n" * 1000, "A" * 999 + "b", "'s" * 500]
    real = list(real_texts())
    out += generator.sample(real, min(len(real), count // 4))
    while len(out) < count:
        out.append(random_text(generator, special))
    return out[:count]
