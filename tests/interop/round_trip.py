#!/usr/bin/env python3
"""Exchanges checkpoints and adapters with transformers, PEFT and bitsandbytes: what they wrote must give the same logits and
reward scores here, what we wrote must give the same there (fp32, to 1e-4), on tiny models of random weights.

    round_trip.py PROGRAM [-k WORD]      PROGRAM: coho_interop of the build folder; -k: only checks whose name has the word

`make test-peers` installs the libraries and runs this. Prints one line a check; exits with 1 where one fails.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import traceback
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"  # every model here is made here

import peft
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

try:
    import bitsandbytes
    import bitsandbytes.nn.modules

    # On CPUs with AVX-512 for bf16 it would compute in bf16, where fp32 is what is compared.
    bitsandbytes.nn.modules.has_avx512bf16 = lambda: False
except ImportError:
    bitsandbytes = None

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOKENIZER = ROOT / "reference_trainer" / "demo" / "base" / "tokenizer.model"
VOCABULARY, PAD = 900, 899  # the tokenizer's size
TOLERANCE = 1e-4
LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
# Longer than Mistral's window below, of different lengths.
SEQUENCES = [[(7 * i * i + 3 * i + 11 * n) % 890 + 3 for i in range(length)] for n, length in enumerate([23, 9, 14])]

MODELS = {
    "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM, transformers.LlamaForSequenceClassification, {}),
    "mistral": (transformers.MistralConfig, transformers.MistralForCausalLM, transformers.MistralForSequenceClassification,
                {"sliding_window": 6}),
    "llama with biases": (transformers.LlamaConfig, transformers.LlamaForCausalLM, transformers.LlamaForSequenceClassification,
                          {"attention_bias": True, "mlp_bias": True}),
    "qwen2": (transformers.Qwen2Config, transformers.Qwen2ForCausalLM, transformers.Qwen2ForSequenceClassification, {}),
    "qwen2 with a window": (transformers.Qwen2Config, transformers.Qwen2ForCausalLM, transformers.Qwen2ForSequenceClassification,
                            {"use_sliding_window": True, "sliding_window": 6, "max_window_layers": 0}),
    "qwen3": (transformers.Qwen3Config, transformers.Qwen3ForCausalLM, transformers.Qwen3ForSequenceClassification,
              {"head_dim": 32}),
    "qwen3 with biases": (transformers.Qwen3Config, transformers.Qwen3ForCausalLM, transformers.Qwen3ForSequenceClassification,
                          {"head_dim": 32, "attention_bias": True}),
}


class Failure(Exception):
    pass


largest = 0.0  # difference that any comparison found


def compare(what, theirs, ours, tolerance=TOLERANCE):
    """Fails with the largest difference and its place."""
    global largest
    if set(theirs) != set(ours):
        raise Failure(f"{what}: {sorted(theirs)} there, {sorted(ours)} here")
    for name in sorted(theirs):
        a, b = theirs[name].double(), ours[name].double()
        if a.shape != b.shape:
            raise Failure(f"{what}: {name} is {tuple(a.shape)} there, {tuple(b.shape)} here")
        difference = (a - b).abs()
        if not bool(torch.isfinite(difference).all()) or float(difference.max()) > tolerance:
            place = torch.unravel_index(difference.nan_to_num(float("inf")).argmax(), a.shape)
            at = ", ".join(str(int(i)) for i in place)
            raise Failure(f"{what}: largest difference {float(difference.max()):.3g} (allowed {tolerance:g}) at {name}[{at}]: "
                          f"{float(a[place]):.6f} there, {float(b[place]):.6f} here")
        if tolerance == TOLERANCE:
            largest = max(largest, float(difference.max()))


def must_differ(what, a, b):
    if all(float((a[name] - b[name]).abs().max()) < 0.01 for name in a if name in b):
        raise Failure(f"{what}: changes nothing, so the comparison shows nothing")


class Bench:
    """A folder, our program, and how either side answers."""

    def __init__(self, program, folder):
        self.program, self.folder, self.count = program, folder, 0
        self.bases = {}

    def call(self, argument):
        done = subprocess.run([self.program, str(argument)], capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure(f"our program: {(done.stderr or done.stdout).strip()} (status {done.returncode})")
        return done.stdout

    def new(self, name):
        self.count += 1
        return self.folder / f"{self.count:03}-{name}"

    def ours(self, base, settings=(), tokens=SEQUENCES, **job):
        """Outputs of our program for a role over a base."""
        outputs = self.new("outputs.safetensors")
        job = {"settings": [f"model.path={base}", *settings], "tokens": tokens, "outputs": str(outputs),
               **{key: str(value) if isinstance(value, pathlib.Path) else value for key, value in job.items()}}
        path = self.new("job.json")
        path.write_text(json.dumps(job))
        self.call(path)
        return load_file(outputs)

    def base(self, kind, tied=False, classifier=False):
        """The folder of a model of random weights that transformers saved."""
        key = (kind, tied, classifier)
        if key not in self.bases:
            torch.manual_seed(len(self.bases) + 1)
            config_class, causal, classify, more = MODELS[kind]
            # Widths are multiples of 64: on CPUs with AVX-512 bitsandbytes 0.50.2 unpacks rows wrongly that are not whole
            # blocks (its own generic operator then disagrees with it by 2.0 on [64, 96]).
            config = config_class(vocab_size=VOCABULARY, hidden_size=64, intermediate_size=128, num_hidden_layers=3,
                                  num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128,
                                  initializer_range=0.15, tie_word_embeddings=tied, pad_token_id=PAD,
                                  num_labels=1 if classifier else 2, **more)
            model = (classify if classifier else causal)(config)
            with torch.no_grad():
                for name, weight in model.named_parameters():
                    if "norm" in name or name.endswith("bias"):
                        weight.add_(0.2 * torch.randn_like(weight))
            path = self.new("-".join([kind.replace(" ", "-"), *(["tied"] if tied else []), *(["classifier"] if classifier else [])]))
            model.save_pretrained(path)
            shutil.copy(TOKENIZER, path)
            self.bases[key] = path
        return self.bases[key]


def causal_model(path, **options):
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, **options).eval()


def classifier_model(path):
    return AutoModelForSequenceClassification.from_pretrained(path, dtype=torch.float32, num_labels=1, pad_token_id=PAD).eval()


@torch.no_grad()
def logits(model):
    return {f"logits.{i}": model(torch.tensor([tokens])).logits[0].contiguous() for i, tokens in enumerate(SEQUENCES)}


@torch.no_grad()
def scores(model):
    """Of right-padded sequences, as transformers takes a batch."""
    longest = max(map(len, SEQUENCES))
    batch = torch.tensor([tokens + [PAD] * (longest - len(tokens)) for tokens in SEQUENCES])
    return {"scores": model(batch, attention_mask=(batch != PAD).long()).logits[:, 0].contiguous()}


def only(outputs, prefix):
    return {name: value for name, value in outputs.items() if name.startswith(prefix)}


def open_adapter(model, path):
    """PeftModel.from_pretrained, which only warns of keys that are missing or not known."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        opened = peft.PeftModel.from_pretrained(model, path).eval()
    for warning in seen:
        if "missing" in str(warning.message) or "unexpected" in str(warning.message).lower():
            raise Failure(f"PEFT says of our adapter: {warning.message}")
    return opened


def configuration(path):
    return json.loads((path / "adapter_config.json").read_text())


# ---- transformers' models here
def check_model(bench, kind, tied):
    base = bench.base(kind, tied)
    compare("transformers' checkpoint", logits(causal_model(base)), bench.ours(base))


def check_sharded(bench):
    path = bench.new("shards")
    model = causal_model(bench.base("llama"))
    model.save_pretrained(path, max_shard_size="200KB")
    shutil.copy(TOKENIZER, path)
    if not (path / "model.safetensors.index.json").exists():
        raise Failure("transformers wrote no shards")
    compare("transformers' shards", logits(model), bench.ours(path))


def check_narrow_model(bench, dtype):
    path = bench.new("narrow")
    model = causal_model(bench.base("llama")).to(dtype)
    model.save_pretrained(path)
    shutil.copy(TOKENIZER, path)
    compare("transformers' checkpoint", logits(causal_model(path)), bench.ours(path))


def changed_base(bench, name, config=(), weights=None, tied=False):
    """A copy of a base with other fields in config.json (None: taken out) and `weights` called on its tensors."""
    path = bench.new(name)
    shutil.copytree(bench.base("llama", tied), path)
    if weights:
        tensors = load_file(path / "model.safetensors")
        weights(tensors)
        save_file(tensors, path / "model.safetensors", {"format": "pt"})
    fields = json.loads((path / "config.json").read_text())
    for field, value in dict(config).items():
        fields[field] = value
        if value is None:
            del fields[field]
    (path / "config.json").write_text(json.dumps(fields))
    return path


def check_stored_heads(bench):
    """What the flag says of a head against what is stored."""
    def only_head(tensors):
        tensors["lm_head.weight"] = tensors.pop("model.embed_tokens.weight")

    def other_head(tensors):
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].flip(0).contiguous()

    def same_head(tensors):
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()

    for change in (only_head, other_head, same_head):
        path = changed_base(bench, change.__name__, weights=change, tied=True)
        compare(f"tied, {change.__name__}", logits(causal_model(path)), bench.ours(path))


def check_rope_of_both_generations(bench):
    linear, default = {"type": "linear", "factor": 2.0}, {"rope_type": "default", "rope_theta": 500.0}
    plain = logits(causal_model(bench.base("llama")))
    for fields in ({"rope_parameters": default, "rope_scaling": linear},
                   {"rope_parameters": default, "rope_scaling": linear, "rope_theta": 300.0},
                   {"rope_parameters": None, "rope_scaling": linear, "rope_theta": 300.0},
                   {"rope_parameters": default, "rope_scaling": {}},
                   {"rope_parameters": {"rope_type": "default"}, "rope_theta": 300.0},
                   {"rope_parameters": {}, "rope_scaling": {**linear, "rope_theta": 300.0}}):
        path = changed_base(bench, "rope", fields)
        theirs = logits(causal_model(path))
        must_differ(str(fields), theirs, plain)
        compare(str(fields), theirs, bench.ours(path))


# ---- tokens, here and in what we write
# None begins with a space: there transformers 5.23 leaves out the space that the sentencepiece library puts in front of each text,
# as we do, and as a tokenizer.json with Prepend does.
TEXTS = ["the fox sings a song", "a dog.", "Hello, world\n\nagain", "\u00e9\u4f60"]
DECLARED = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def token_files(path, **files):
    for name, content in files.items():
        (path / f"{name}.json").write_text(json.dumps(content))


def token_base(bench):
    """With tokens beyond tokenizer.model, and end tokens that only generation_config.json has."""
    torch.manual_seed(5)
    config = transformers.LlamaConfig(vocab_size=VOCABULARY + 4, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
                                      num_attention_heads=4, initializer_range=0.15, bos_token_id=1, eos_token_id=2)
    path = bench.new("tokens")
    transformers.LlamaForCausalLM(config).save_pretrained(path)
    shutil.copy(TOKENIZER, path)
    words = {str(VOCABULARY): "<|im_start|>", str(VOCABULARY + 1): "<|im_end|>"}
    decoder = {id: {"content": text, "special": True, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False}
               for id, text in words.items()}
    token_files(path, tokenizer_config={**DECLARED, "add_bos_token": True, "added_tokens_decoder": decoder},
                generation_config={"bos_token_id": 1, "eos_token_id": [2, VOCABULARY + 1]})
    (path / "chat_template.jinja").write_text("{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
                                              "{% endfor %}")
    return path


def token_facts(path):
    """All that a reader of the folder sees of tokens."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    talk = [{"role": "user", "content": "the fox"}, {"role": "assistant", "content": "a dog"}]
    return {"ids": [tokenizer(text).input_ids for text in [*TEXTS, "<|im_start|>user<|im_end|>"]],
            "talk": tokenizer.apply_chat_template(talk, tokenize=False),
            "named": (tokenizer.bos_token_id, tokenizer.eos_token_id, len(tokenizer)),
            "ends": transformers.GenerationConfig.from_pretrained(path).eos_token_id}


def check_written_tokens(bench, form):
    base, out = token_base(bench), bench.new("written")
    if form == "quantized":
        bench.ours(base, quantize=out)
    elif form == "merged":
        bench.ours(base, ["adapter.rank=2"], fresh=3, save=out, merge=True)
    else:
        bench.ours(base, ["adapter.kind=full" if form == "whole weights" else "adapter.rank=2"], fresh=3, save=out)
    there, here = token_facts(base), token_facts(out)
    for fact in there:
        if there[fact] != here[fact]:
            raise Failure(f"{fact}: {there[fact]} in the base, {here[fact]} in what we wrote")
    if there["ids"][-1] != [1, VOCABULARY, *there["ids"][-1][2:-1], VOCABULARY + 1]:
        raise Failure(f"the base has no added tokens: {there['ids'][-1]}")
    if form in ("merged", "whole weights") and causal_model(out).generation_config.eos_token_id != there["ends"]:
        raise Failure("the model that was written ends elsewhere")


def check_tokens(bench, files, ends=(2,)):
    """What stands before a text and what ends a response, as transformers has it."""
    path = changed_base(bench, "declared", {"bos_token_id": 1, "eos_token_id": 2})
    (path / "generation_config.json").unlink(missing_ok=True)
    token_files(path, **files)
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    theirs = {f"tokens.{i}": torch.tensor(tokenizer(text).input_ids, dtype=torch.long) for i, text in enumerate(TEXTS)}
    given = causal_model(path).generation_config.eos_token_id
    if sorted(ends) != sorted(given if isinstance(given, list) else [given]):
        raise Failure(f"transformers ends at {given}")
    theirs["ends"] = torch.tensor(sorted(ends))
    outputs = bench.ours(path, texts=TEXTS)
    compare("tokens", theirs, {name: value for name, value in outputs.items() if name in theirs}, 0)


# ---- PEFT's adapters here, and the same saved by us there
ADAPTERS = {
    "all seven linears": dict(r=4, lora_alpha=16, target_modules=LINEARS),
    "a subset": dict(r=3, lora_alpha=7, target_modules=["q_proj", "down_proj"], lora_dropout=0.1),
    # The first that matches holds, and PEFT sorts them when it saves: in this order they say the same before and after.
    "patterns of ranks and alphas": dict(
        r=4, lora_alpha=8, target_modules=LINEARS,
        rank_pattern={"^model.layers.0.self_attn.v_proj": 3, "layers.1.mlp.up_proj": 5, "q_proj": 6, r"self_attn\.(q|k)_proj": 2},
        alpha_pattern={"mlp.down_proj": 20, "layers.2.self_attn.o_proj": 3.5}),
    "rank-stabilised": dict(r=7, lora_alpha=4, target_modules=LINEARS, use_rslora=True),
    "rank-stabilised with patterns": dict(r=4, lora_alpha=4, target_modules=LINEARS, use_rslora=True, rank_pattern={"gate_proj": 9},
                                          alpha_pattern={"v_proj": 6}),
    "some layers": dict(r=4, lora_alpha=8, target_modules=["q_proj", "up_proj"], layers_to_transform=[1]),
    "an expression for its targets": dict(r=2, lora_alpha=8, target_modules=r".*layers\.[02]\.(self_attn\.o|mlp\.gate)_proj"),
    "all-linear": dict(r=2, lora_alpha=8, target_modules="all-linear"),
}


def make_adapter(base, options, name="default", task="CAUSAL_LM"):
    torch.manual_seed(99)
    # init_lora_weights=False: B is not zero, so that the adapter changes something.
    config = peft.LoraConfig(task_type=task, init_lora_weights=False, **options)
    model = classifier_model(base) if task == "SEQ_CLS" else causal_model(base)
    return peft.get_peft_model(model, config, adapter_name=name).eval()


def check_adapter(bench, kind, tied, options, dtype=None, adapter="default"):
    base = bench.base(kind, tied)
    model = make_adapter(base, options, adapter)
    if dtype is not None:
        for key, value in model.named_parameters():
            if "lora_" in key:
                value.data = value.data.to(dtype).float()  # what a file of this type can hold
    theirs = logits(model)
    must_differ("the adapter", theirs, logits(causal_model(base)))
    path = bench.new("adapter")
    model.save_pretrained(path)
    if adapter != "default":
        path = path / adapter
    if dtype is not None:
        file = path / "adapter_model.safetensors"
        save_file({key: value.to(dtype) for key, value in load_file(file).items()}, file, {"format": "pt"})
    saved = bench.new("saved")
    compare("PEFT's adapter", theirs, bench.ours(base, role=path, save=saved))
    compare("PEFT's adapter, saved by us", theirs, logits(open_adapter(causal_model(base), saved)))
    for field in ("lora_dropout", "use_rslora"):
        if configuration(saved)[field] != configuration(path)[field]:
            raise Failure(f"{field} was {configuration(path)[field]}, we saved {configuration(saved)[field]}")


# ---- our adapters there
FRESH = {
    "all seven linears": [],
    "a subset": ['adapter.targets=["k_proj", "up_proj"]'],
    "rank-stabilised": ["adapter.rslora=true", "adapter.rank=5"],
}
FRESH_PATTERNS = {
    "patterns of ranks and alphas": ['adapter.rank_pattern=["q_proj=2", "layers.1.mlp.up_proj=7"]',
                                     'adapter.alpha_pattern=["layers.[01].self_attn.*=3"]', "adapter.dropout=0.1"],
}


def check_fresh(bench, kind, tied, settings):
    base, saved = bench.base(kind, tied), bench.new("fresh")
    ours = bench.ours(base, ["adapter.rank=4", "adapter.alpha=12", *settings], fresh=5, save=saved)
    theirs = logits(open_adapter(causal_model(base), saved))
    must_differ("our adapter", ours, logits(causal_model(base)))
    compare("our adapter", theirs, ours)
    compare("our adapter, read again", theirs, bench.ours(base, role=saved))


def check_merged(bench, kind, tied):
    base, merged = bench.base(kind, tied), bench.new("merged")
    ours = bench.ours(base, ["adapter.rank=4"], fresh=6, save=merged, merge=True)
    compare("our merged checkpoint", logits(causal_model(merged)), ours)


def check_full(bench, kind, tied):
    base, saved = bench.base(kind, tied), bench.new("whole")
    ours = bench.ours(base, ["adapter.kind=full"], fresh=7, save=saved)
    compare("our whole weights", logits(causal_model(saved)), ours)


# ---- reward models
def check_classifier(bench, kind):
    base = bench.base(kind, classifier=True)
    theirs, saved = scores(classifier_model(base)), bench.new("classifier")
    compare("transformers' classifier as base", theirs, only(bench.ours(base), "scores"))
    compare("transformers' classifier as role", theirs, only(bench.ours(bench.base(kind), role=base, save=saved), "scores"))
    compare("transformers' classifier, saved by us", scores(classifier_model(saved)), theirs)


def check_classifier_adapter(bench, kind):
    # A base with the language-model head; the scalar head lies with the adapter.
    base, path, saved = bench.base(kind), bench.new("reward"), bench.new("saved")
    model = make_adapter(base, dict(r=4, lora_alpha=8, target_modules=LINEARS), task="SEQ_CLS")
    theirs = scores(model)
    model.save_pretrained(path)
    if configuration(path)["modules_to_save"] is None:
        raise Failure("PEFT saved no head")
    compare("PEFT's reward adapter", theirs, only(bench.ours(base, role=path, save=saved), "scores"))
    compare("PEFT's reward adapter, saved by us", scores(open_adapter(classifier_model(base), saved)), theirs)


def check_fresh_reward(bench, kind, settings):
    base, saved = bench.base(kind), bench.new("reward")
    ours = only(bench.ours(base, settings or ["adapter.rank=4"], fresh=8, head=[0.0], save=saved), "scores")
    if "adapter.kind=full" in settings:
        model = classifier_model(saved)
    else:
        model = open_adapter(classifier_model(base), saved)
        if configuration(saved)["task_type"] != "SEQ_CLS":
            raise Failure(f"the task type is {configuration(saved)['task_type']}")
    compare("our reward model", scores(model), ours)
    compare("our reward model, read again", only(bench.ours(base, role=saved), "scores"), ours)


def check_bias_stays(bench, settings):
    """transformers' heads have no bias: with one, the head stays ours, and the rest opens there."""
    base, saved = bench.base("llama"), bench.new("biased")
    ours = bench.ours(base, settings or ["adapter.rank=4"], fresh=8, head=[0.75], save=saved)
    compare("our reward model, read again", bench.ours(base, role=saved), ours)
    there = causal_model(saved) if settings else open_adapter(causal_model(base), saved)
    compare("the rest of our reward model", logits(there), only(ours, "logits"))


# ---- NF4
def quantized(bench, base, double, storage=torch.uint8):
    """A checkpoint that transformers and bitsandbytes wrote."""
    path = bench.new("nf4")
    options = transformers.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=double,
                                              bnb_4bit_compute_dtype=torch.float32, bnb_4bit_quant_storage=storage)
    model = causal_model(base, quantization_config=options, device_map={"": "cpu"})
    model.save_pretrained(path)
    shutil.copy(TOKENIZER, path)
    return path


def quantized_logits(path):
    return logits(causal_model(path, device_map={"": "cpu"}))


def check_reads_nf4(bench, kind, double):
    base = bench.base(kind)
    path = quantized(bench, base, double)
    theirs = quantized_logits(path)
    must_differ("quantising", theirs, logits(causal_model(base)))
    compare("bitsandbytes' checkpoint", theirs, bench.ours(path))


def check_reads_stored_nf4(bench, storage):
    path = quantized(bench, bench.base("llama"), True, storage)
    stored = load_file(path / "model.safetensors")["model.layers.0.mlp.up_proj.weight"]
    if stored.dtype != storage:
        raise Failure(f"bitsandbytes stored {stored.dtype}")
    compare("bitsandbytes' checkpoint", quantized_logits(path), bench.ours(path))


def check_writes_nf4(bench, kind):
    base, ours = bench.base(kind), bench.new("our-nf4")
    theirs = quantized(bench, base, True)
    bench.ours(base, quantize=ours)
    here, there = load_file(ours / "model.safetensors"), load_file(theirs / "model.safetensors")
    packed = {name: value for name, value in there.items() if value.dtype == torch.uint8 and name.endswith(".weight")}
    if not packed:
        raise Failure("bitsandbytes packed nothing")
    compare("codes", packed, {name: here[name] for name in packed if name in here}, 0)
    # Double quantisation takes a mean, which depends on the order of its sum: an absmax may fall to the next code.
    absmax = {name: value for name, value in there.items() if name.endswith(".weight.absmax")}
    compare("codes of absmax", absmax, {name: here[name] for name in absmax if name in here}, 1)
    compare("our NF4 checkpoint", quantized_logits(ours), bench.ours(ours))


def checks():
    """(name, function of the bench)"""
    def add(name, check, *arguments, **options):
        return name, lambda bench: check(bench, *arguments, **options)

    for kind in MODELS:
        for tied in (False, True):
            which = f"{kind}{', tied head' if tied else ''}"
            yield add(f"model: {which}", check_model, kind, tied)
            yield add(f"merged: {which}", check_merged, kind, tied)
            yield add(f"whole weights: {which}", check_full, kind, tied)
    yield add("model: in shards", check_sharded)
    yield add("model: heads that are stored and tied", check_stored_heads)
    yield add("model: RoPE fields of both generations", check_rope_of_both_generations)
    for form in ("merged", "whole weights", "adapter"):
        yield add(f"tokens: of what we write, {form}", check_written_tokens, form)
    yield add("NF4: tokens of what we write", check_written_tokens, "quantized")
    config = {**DECLARED, "add_bos_token": True}
    yield add("tokens: a begin token", check_tokens, {"tokenizer_config": config})
    yield add("tokens: none", check_tokens, {"tokenizer_config": {**DECLARED, "add_bos_token": False}})
    yield add("tokens: bos_token null", check_tokens, {"tokenizer_config": {**config, "bos_token": None}})
    yield add("tokens: generation_config.json's ends", check_tokens,
              {"tokenizer_config": config, "generation_config": {"eos_token_id": [7, 2]}}, ends=(2, 7))
    for dtype in (torch.float16, torch.bfloat16):
        yield add(f"model: {str(dtype).removeprefix('torch.')}", check_narrow_model, dtype)
    for name, options in ADAPTERS.items():
        yield add(f"PEFT adapter: {name}", check_adapter, "llama", False, options)
    first = ADAPTERS["all seven linears"]
    yield add("PEFT adapter: another name", check_adapter, "llama", False, first, adapter="reward")
    yield add("PEFT adapter: float16", check_adapter, "llama", False, first, dtype=torch.float16)
    yield add("PEFT adapter: bfloat16", check_adapter, "llama", False, first, dtype=torch.bfloat16)
    yield add("PEFT adapter: mistral, tied head", check_adapter, "mistral", True, ADAPTERS["patterns of ranks and alphas"])
    for name, settings in FRESH.items():
        yield add(f"our adapter: {name}", check_fresh, "llama", False, settings)
    for name, settings in FRESH_PATTERNS.items():
        yield add(f"our adapter: {name}", check_fresh, "llama", False, settings)
    yield add("our adapter: mistral, tied head", check_fresh, "mistral", True, [])
    for kind in MODELS:
        yield add(f"reward model: {kind}", check_classifier, kind)
        yield add(f"reward model: PEFT adapter, {kind}", check_classifier_adapter, kind)
        yield add(f"reward model: our adapter, {kind}", check_fresh_reward, kind, [])
        yield add(f"reward model: our whole weights, {kind}", check_fresh_reward, kind, ["adapter.kind=full"])
    yield add("reward model: a bias stays with us, adapter", check_bias_stays, [])
    yield add("reward model: a bias stays with us, whole weights", check_bias_stays, ["adapter.kind=full"])
    for kind in MODELS:
        for double in (True, False):
            yield add(f"NF4: bitsandbytes' checkpoint, {kind}{', double quantisation' if double else ''}", check_reads_nf4, kind,
                      double)
        yield add(f"NF4: our checkpoint, {kind}", check_writes_nf4, kind)
    for storage in (torch.bfloat16, torch.float32):
        yield add(f"NF4: bitsandbytes' checkpoint, stored as {str(storage).removeprefix('torch.')}", check_reads_stored_nf4, storage)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("-k", metavar="WORD", default="", help="only checks whose name has this word")
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    warnings.simplefilter("ignore")  # of things that these libraries say about each other
    torch.set_num_threads(1)
    versions = [torch, transformers, peft, *([bitsandbytes] if bitsandbytes else [])]
    print("interop: " + ", ".join(f"{library.__name__} {library.__version__}" for library in versions), flush=True)

    passed, failed, skipped = 0, 0, 0
    with tempfile.TemporaryDirectory(prefix="coho-interop-") as folder:
        bench = Bench(options.program.resolve(), pathlib.Path(folder))
        for name, check in checks():
            if options.k not in name:
                continue
            reason = None
            if name.startswith("NF4") and bitsandbytes is None:
                reason = "bitsandbytes is not installed"
            if reason:
                print(f"not run  {name}: {reason}", flush=True)
                skipped += 1
                continue
            try:
                check(bench)
                print(f"passed   {name}", flush=True)
                passed += 1
            except Failure as failure:
                print(f"FAILED   {name}: {failure}", flush=True)
                failed += 1
            except Exception as error:  # the libraries' own
                where = traceback.extract_tb(error.__traceback__)[-1]
                print(f"FAILED   {name}: {type(error).__name__}: {error} ({where.filename}:{where.lineno})", flush=True)
                failed += 1
    print(f"interop: {passed} passed, {failed} failed, {skipped} not run; largest difference that passed {largest:.2g}")
    return 1 if failed or passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
