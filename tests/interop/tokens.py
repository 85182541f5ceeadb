#!/usr/bin/env python3
"""Compares tokenizer.json here and in the `tokenizers` library: ids of texts with and without special tokens, decoded and
streamed texts, and the time of encoding on one core.

    tokens.py PROGRAM [FILE…] [--count N]     PROGRAM: coho_tokens of the build folder; FILE: a tokenizer.json, in addition to
                                              those made here; N: texts per tokenizer (10,000)

`make test-peers` runs this; TOKENIZERS="…" names the files. Exits with 1 where anything differs.
"""

import argparse
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import tokenizers
from token_texts import real_texts, texts
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}|"
         r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CLASSES = r"[[:alpha:]]+|[[:digit:]]{1,3}+|\h{2}|\w+|[^\w\s]+|[^\S\n]+"


@functools.cache
def trained_bytes():
    out = Tokenizer(models.BPE())
    out.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    out.train_from_iterator(real_texts(), trainers.BpeTrainer(
        vocab_size=3000, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<|end|>", "<|im_start|>"],
        show_progress=False))
    return out.to_str()


@functools.cache
def trained_characters(fallback):
    out = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=fallback))
    out.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)] if fallback else []
    out.train_from_iterator(real_texts(), trainers.BpeTrainer(
        vocab_size=2500, special_tokens=["<unk>", "<s>", "</s>", *bytes_], limit_alphabet=150, show_progress=False))
    return out.to_str()


def byte_level(splitter, normalizer=None, added=()):
    out = Tokenizer.from_str(trained_bytes())
    out.pre_tokenizer = splitter
    out.decoder = decoders.ByteLevel()
    if normalizer:
        out.normalizer = normalizer
    out.add_tokens(list(added))
    return out


def converted(fuse, fallback, metaspace):
    """As transformers converts sentencepiece's models, of this and of earlier versions."""
    file = json.loads(trained_characters(fallback))
    file["added_tokens"] = file["added_tokens"][:3]
    file["model"]["fuse_unk"] = fuse
    out = Tokenizer.from_str(json.dumps(file))
    if metaspace:
        out.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=metaspace, split=False)
    else:
        out.pre_tokenizer = None
        out.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    out.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    out.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 1)])
    return out


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def made():
    """(name, tokenizer) of every part that is supported."""
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    chain = pre_tokenizers.Sequence
    flags = [AddedToken("<tool>", normalized=False), AddedToken("fooqux", single_word=True), AddedToken("<l>", lstrip=True),
             AddedToken("<r>", rstrip=True, normalized=False), AddedToken("<b>", lstrip=True, rstrip=True),
             AddedToken("Z\u00dc \u00c4q"), AddedToken("<r><r>", normalized=False)]
    yield "GPT-2's words", byte_level(pre_tokenizers.ByteLevel(add_prefix_space=True))
    yield "Llama 3's words", byte_level(chain([split(LLAMA3), bytes_only]))
    yield "Qwen's words, NFC", byte_level(chain([split(LLAMA3.replace("{1,3}", "")), bytes_only]), normalizers.NFC())
    yield "o200k's words", byte_level(chain([split(O200K), bytes_only]))
    yield "classes of characters", byte_level(chain([split(CLASSES), bytes_only]))
    yield "digits, then GPT-2's", byte_level(chain([pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False)]))
    yield "flags of added tokens", byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), None, flags)
    yield "flags, lower case", byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), normalizers.Lowercase(), flags)
    for behavior in ("removed", "merged_with_previous", "merged_with_next", "contiguous"):
        yield f"split, {behavior}", byte_level(chain([split(r"[-_.,]|\s", behavior), bytes_only]))
    yield "split, inverted", byte_level(chain([split(r"\p{L}+", "isolated", True), bytes_only]))
    yield "words and punctuation", byte_level(chain([pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation(), bytes_only]))
    for form in ("NFD", "NFKC", "NFKD"):
        yield form, byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), getattr(normalizers, form)())
    yield "stripped, replaced", byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), normalizers.Sequence(
        [normalizers.Strip(), normalizers.Replace(Regex(r"[\s_]+"), " "), normalizers.Prepend("~")]))
    yield "sentencepiece, Prepend", converted(True, True, None)
    yield "sentencepiece, Metaspace first", converted(True, True, "first")
    yield "sentencepiece, Metaspace always", converted(False, True, "always")
    yield "sentencepiece, no bytes", converted(True, False, None)
    yield "sentencepiece, no bytes or fusing", converted(False, False, "never")


def ours(program, path, given, *rounds):
    lines = "".join(json.dumps(text) + "\n" for text in given)
    done = subprocess.run([program, path, *rounds], input=lines, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"tokens: {done.stderr.strip()}")
    return [json.loads(line) for line in done.stdout.split("\n") if line]


def reads_otherwise(tokenizer):
    """Special tokens that a normalizer changes: 0.23 has a text for them when it decodes, against its own rule."""
    normalizer = tokenizer.normalizer
    return {id for id, token in tokenizer.get_added_tokens_decoder().items()
            if token.special and token.normalized and normalizer and normalizer.normalize_str(token.content) != token.content}


def compare(program, name, path, count):
    """The number of texts that differ, after printing the first."""
    tokenizer = Tokenizer.from_file(path)
    special = [token.content for token in tokenizer.get_added_tokens_decoder().values()][:40]
    given = texts(count, special)
    answers = ours(program, path, given)
    odd = reads_otherwise(tokenizer)
    differing = 0
    for text, answer in zip(given, answers, strict=True):
        tokenizer.encode_special_tokens = False
        marked = tokenizer.encode(text, add_special_tokens=False).ids
        tokenizer.encode_special_tokens = True
        plain = tokenizer.encode(text, add_special_tokens=False).ids
        expected = {"marked": marked, "plain": plain, "text": tokenizer.decode(marked)}
        if odd.intersection(marked):
            del expected["text"]
        whole = tokenizer.decode(plain)
        # A stream of text that continues another keeps the space before its first word.
        if "\ufffd" not in whole and answer["streamed"] not in (whole, " " + whole):
            expected["streamed"] = whole
        wrong = [part for part, value in expected.items() if answer[part] != value]
        if wrong and differing == 0:
            print(f"  {name}, {wrong[0]} of {text[:300]!r}:\n    there {expected[wrong[0]]!r}\n    here  {answer[wrong[0]]!r}")
        differing += bool(wrong)
    return differing


def speed(program, path):
    """Megabytes per second of processor time, there and here."""
    tokenizer = Tokenizer.from_file(path)
    given = list(real_texts())
    size = sum(len(text.encode()) for text in given) / 1e6
    theirs = float("inf")
    for _ in range(3):
        begin = time.process_time()
        tokenizer.encode_batch_fast(given, add_special_tokens=False)
        theirs = min(theirs, time.process_time() - begin)
    return size / theirs, size / float(ours(program, path, given, "3")[0])


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("program")
    arguments.add_argument("files", nargs="*")
    arguments.add_argument("--count", type=int, default=10000)
    given = arguments.parse_args()
    print(f"tokenizers {tokenizers.__version__}, {given.count} texts each; MB/s of one core on this project's files")
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for name, tokenizer in made():
            path = f"{folder}/{len(files)}.json"
            tokenizer.save(path)
            files.append((name, path))
        files += [("/".join(pathlib.Path(path).parts[-2:]), path) for path in given.files]
        for name, path in files:
            differing = compare(given.program, name, path, given.count)
            there, here = speed(given.program, path)
            print(f"{name:<36} {differing:>5} differ   {there:6.2f} there {here:7.2f} here   ratio {here / there:5.2f}", flush=True)
            failed += differing > 0
    if failed:
        sys.exit(f"tokens: {failed} of {len(files)} tokenizers differ")


if __name__ == "__main__":
    main()
