#!/usr/bin/env python3
"""Compares coho with transformers on a real model: logits, greedy continuations, conversations by the model's own chat
template and by others of the forms that published models have, and what is learnt of them.

    real_model.py INTEROP COHO [FOLDER]     INTEROP: coho_interop, COHO: coho of the build folder; FOLDER: a model,
                                            default build/models/SmolLM2-135M-Instruct, which `make real-model` makes

Prints one line a check; exits with 1 where one fails, with 0 and a line where the model is absent.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from safetensors.torch import load_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOLERANCE = 1e-4
GREEDY_TOKENS = 200
TEXTS = [
    "The sea was calm, and nobody on the ship expected what came next.",
    "def add(a, b):\n    return a + b\n\nprint(add(12, 30))",
    "Numbers: 3.14159, 2024, 1/3. Ünïcödé, 日本語, עברית, 🙂.",
]
QUESTIONS = ["What is the capital of France?", "Count from one to ten.", "Write two sentences about the sea."]
CONVERSATIONS = [
    [["user", "What is the capital of France?"]],
    [["system", "Answer in one word."], ["user", "What is 12 + 30?"]],
    [["user", "Hi"], ["assistant", "Hello! How can I help?"], ["user", " Tell me a joke. \n"]],
    [["user", "Hi"], ["assistant", "Hello! How can I help?"]],
    [["system", "Be brief."], ["user", "Why?"], ["assistant", "So."], ["user", "And?"], ["assistant", "1,234 No.\n\nYes."]],
    [["user", "日本語で"], ["assistant", "はい。🙂"], ["user", "…"], ["assistant", "spaces  "]],
]
# Not among them: a reply that begins with white space. Here it is tokenised after its prompt, as it would be sampled;
# transformers tokenises the whole text, where spaces join the line break before.

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
MARKED = (
    "{%- for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' %}{% generation %}"
    "{{ m.content + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}{% else %}{{ m.content + '<|im_end|>\n' }}{% endif %}"
    "{%- endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TRIMMED = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ '<<SYS>> ' + m.content | trim + ' <</SYS>> ' }}"
    "{% elif m.role == 'user' %}{{ '[INST] ' + m.content | trim + ' [/INST]' }}"
    "{% else %}{{ ' ' + m.content | trim + ' ' + eos_token }}{% endif %}{% endfor %}"
)
THINKING = (  # drops what earlier turns thought, as Qwen 3 does, and opens the last one
    "{%- for m in messages %}{%- set last = loop.last %}{{ '<|im_start|>' + m.role + '\n' }}"
    "{%- if m.role == 'assistant' and last %}{{ '<think>\n\n</think>\n\n' }}{% endif %}{{ m.content + '<|im_end|>\n' }}"
    "{%- endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TEMPLATES = {"own": None, "chatml": CHATML, "with marks": MARKED, "trimmed": TRIMMED, "thinking": THINKING}


class Failure(Exception):
    pass


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        raise Failure(f"{command[0]}: {done.stderr.strip()}")
    return done.stdout


def ours(interop, model, work, **job):
    outputs = work / "outputs.safetensors"
    (work / "job.json").write_text(json.dumps({"settings": [f"model.path={model}"], "outputs": str(outputs), **job}))
    run(interop, work / "job.json")
    return load_file(outputs)


def check_logits(interop, folder, work, model, tokenizer):
    tokens = [tokenizer(text, add_special_tokens=False).input_ids for text in TEXTS]
    found = ours(interop, folder, work, tokens=tokens)
    worst = 0.0
    with torch.no_grad():
        for i, ids in enumerate(tokens):
            theirs = model(torch.tensor([ids])).logits[0]
            worst = max(worst, float((theirs - found[f"logits.{i}"]).abs().max()))
    if worst > TOLERANCE:
        raise Failure(f"logits differ by {worst:.2g}")
    return f"largest difference {worst:.1e}"


def check_greedy(coho, folder, work, model, tokenizer):
    for question in QUESTIONS:
        chat = [{"role": "user", "content": question}]
        ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
        with torch.no_grad():
            theirs = model.generate(torch.tensor([ids]), max_new_tokens=GREEDY_TOKENS, do_sample=False)[0].tolist()
        out = run(coho, "generate", "--model", folder, "-p", question, "--ids", "--greedy", "--max-tokens", GREEDY_TOKENS, "-q")
        found = [int(word) for word in out.split()]
        if found != theirs:
            same = next((i for i, pair in enumerate(zip(found, theirs)) if pair[0] != pair[1]), min(len(found), len(theirs)))
            raise Failure(f"{question!r}: {len(theirs)} tokens there, {len(found)} here; the first {same} are equal")
    return f"{len(QUESTIONS)} answers of at most {GREEDY_TOKENS} tokens"


def learnt_by_prefixes(tokenizer, chat, whole):
    """The mask of the replies whose prompts are prefixes, up to the end of their turn."""
    text = tokenizer.apply_chat_template(chat, tokenize=False)
    mask = [0] * len(whole)
    for i, message in enumerate(chat):
        if message["role"] != "assistant":
            continue
        prompt = tokenizer.apply_chat_template(chat[:i], tokenize=False, add_generation_prompt=True)
        through = tokenizer.apply_chat_template(chat[: i + 1], tokenize=False)
        if not (text.startswith(prompt) and text.startswith(through)):
            continue
        start = len(tokenizer(prompt, add_special_tokens=False).input_ids)
        stop = len(tokenizer(through, add_special_tokens=False).input_ids)
        while stop > start and whole[stop - 1] != tokenizer.eos_token_id:
            stop -= 1
        mask[start:stop] = [1] * (stop - start)
    return mask


def check_conversations(interop, folder, work, name, template):
    own = work / name.replace(" ", "_")
    own.mkdir()
    for file in folder.iterdir():
        if template is None or file.name != "chat_template.jinja":
            os.symlink(file.resolve(), own / file.name)
    if template is not None:
        (own / "chat_template.jinja").write_text(template)
    tokenizer = transformers.AutoTokenizer.from_pretrained(own)
    found = ours(interop, own, work, conversations=CONVERSATIONS)
    learnt = 0
    for i, turns in enumerate(CONVERSATIONS):
        chat = [{"role": role, "content": content} for role, content in turns]
        answered = turns[-1][0] == "assistant"
        theirs = tokenizer.apply_chat_template(chat, add_generation_prompt=not answered, return_dict=False)
        if found[f"conversation.{i}"].tolist() != theirs:
            raise Failure(f"{name}, conversation {i}: {theirs} there, {found[f'conversation.{i}'].tolist()} here")
        if not answered:
            continue
        if "{% generation" in (template or ""):
            mask = tokenizer.apply_chat_template(chat, return_dict=True, return_assistant_tokens_mask=True)["assistant_masks"]
        else:
            mask = learnt_by_prefixes(tokenizer, chat, theirs)
        if found[f"learnt.{i}"].tolist() != [float(x) for x in mask]:
            raise Failure(f"{name}, conversation {i} learns {found[f'learnt.{i}'].tolist()}, expected {mask}")
        learnt += sum(mask)
    return f"{len(CONVERSATIONS)} conversations, {learnt} tokens learnt"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("interop", type=pathlib.Path)
    parser.add_argument("coho", type=pathlib.Path)
    parser.add_argument("folder", nargs="?", type=pathlib.Path, default=ROOT / "build" / "models" / "SmolLM2-135M-Instruct")
    given = parser.parse_args()
    if not (given.folder / "model.safetensors").is_file():
        print(f"skipped: {given.folder} holds no model; make real-model puts one there")
        return 0
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    tokenizer = transformers.AutoTokenizer.from_pretrained(given.folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(given.folder, dtype=torch.float32)
    work = pathlib.Path(tempfile.mkdtemp(prefix="coho-real-model."))
    failed = 0
    checks = [("logits", lambda: check_logits(given.interop, given.folder, work, model, tokenizer)),
              ("greedy answers", lambda: check_greedy(given.coho, given.folder, work, model, tokenizer))]
    for name, template in TEMPLATES.items():
        checks.append((f"chat template, {name}",
                       lambda name=name, template=template: check_conversations(given.interop, given.folder, work, name, template)))
    for name, check in checks:
        try:
            print(f"ok      {name}: {check()}")
        except Failure as problem:
            failed += 1
            print(f"FAILED  {name}: {problem}")
        sys.stdout.flush()
    shutil.rmtree(work, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
