#!/usr/bin/env python3
"""Times other libraries on the same work, with bench_gpu's shapes: bitsandbytes' 4-bit products, PEFT over it, torch itself.

  peers.py [--device cuda|cpu] [--small] [--layers N] [--json FILE]

Prints, or writes, JSON with a key for each peer: figures, or a sentence with the reason why there are none. Installs nothing.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import statistics
import sys
import time

# rows, columns, number of them per layer of LLaMA-2 70B; then a tiny layer.
LINEARS = [(8192, 8192, 2), (1024, 8192, 2), (28672, 8192, 2), (8192, 28672, 1)]
TINY = [(128, 128, 2), (64, 128, 2), (256, 128, 2), (128, 256, 1)]
BATCHES = [1, 2, 4, 8, 16, 64, 128, 256]
# Weights that are read in turn have this many bytes together: more than a GPU's cache.
BEYOND_CACHES = 512 << 20


class Absent(Exception):
    """Why there are no figures for a peer."""


class Bench:
    def __init__(self, torch, device, small):
        self.torch, self.device, self.small = torch, device, small
        self.linears = TINY if small else LINEARS

    def wait(self):
        if self.device.startswith("cuda"):
            self.torch.cuda.synchronize()

    def seconds(self, call, budget=0.15):
        """Median seconds of call(i), measured like bench_gpu."""
        i = 0
        for _ in range(2):
            call(i)
            i += 1
        self.wait()
        start = time.perf_counter()
        call(i)
        self.wait()
        calls = 1 if self.small else max(1, min(64, int(0.005 / max(time.perf_counter() - start, 1e-7)) + 1))
        samples, begin = [], time.perf_counter()
        while len(samples) < 5 or (len(samples) < 50 and time.perf_counter() - begin < (0.005 if self.small else budget)):
            start = time.perf_counter()
            for _ in range(calls):
                i += 1
                call(i)
            self.wait()
            samples.append((time.perf_counter() - start) / calls)
        return statistics.median(samples)

    def random(self, *shape, scale=1.0):
        return self.torch.randn(*shape, device=self.device, dtype=self.torch.bfloat16) * scale

    def copies(self, size):
        return 2 if self.small else max(1, -(-BEYOND_CACHES // size))


def whether(name):
    if importlib.util.find_spec(name) is None:
        raise Absent("not present")


def torch_baseline(bench):
    """A layer's products with bf16 weights, and log-probabilities through full logits."""
    torch = bench.torch
    dense = []
    with torch.no_grad():
        for m in BATCHES:
            total = 0.0
            for rows, columns, count in bench.linears:
                weights = [bench.random(rows, columns, scale=0.02) for _ in range(bench.copies(2 * rows * columns))]
                x = bench.random(m, columns)
                total += count * bench.seconds(lambda i: torch.nn.functional.linear(x, weights[i % len(weights)]))
                del weights
            dense.append({"m": m, "seconds": total})
    tokens, width, words = (64, 128, 512) if bench.small else (4096, 8192, 32000)
    hidden, head = bench.random(tokens, width).requires_grad_(True), bench.random(words, width, scale=0.02)
    targets = torch.randint(words, (tokens,), device=bench.device)

    def log_probs(_):
        logits = (hidden @ head.t()).float()
        torch.log_softmax(logits, -1).gather(1, targets[:, None]).sum().backward()
        hidden.grad = None

    return {"dense_layer": dense, "log_probs_forward_backward": bench.seconds(log_probs), "version": torch.__version__}


def bitsandbytes_products(bench):
    whether("bitsandbytes")
    if not bench.device.startswith("cuda") and not bench.small:
        raise Absent("only its CUDA kernels are compared")
    import bitsandbytes as bnb

    rows_out = []
    torch = bench.torch
    with torch.no_grad():
        for rows, columns, count in bench.linears:
            weight = bench.random(rows, columns, scale=0.02)
            copies = [
                bnb.functional.quantize_4bit(weight, blocksize=64, quant_type="nf4", compress_statistics=True)
                for _ in range(bench.copies(int(0.516 * rows * columns)))
            ]
            del weight
            for m in BATCHES:
                x = bench.random(m, columns)

                def product(i):
                    packed, state = copies[i % len(copies)]
                    # One row uses its matrix-vector kernel internally, more rows dequantise.
                    return bnb.matmul_4bit(x, packed.t(), quant_state=state)

                rows_out.append({"rows": rows, "columns": columns, "of_a_layer": count, "m": m, "seconds": bench.seconds(product)})
    return rows_out


def peft_update(bench, layers):
    """Forward and backward of LoRA through transformers and PEFT, r = 64 on all seven linears: over bitsandbytes' NF4, or over
    bf16 if that is not installed."""
    for name in ("peft", "transformers"):
        if importlib.util.find_spec(name) is None:
            raise Absent(f"{name} is not present")
    if not bench.device.startswith("cuda") and not bench.small:
        raise Absent("only a GPU is compared")
    bnb = None
    if importlib.util.find_spec("bitsandbytes") is not None:
        import bitsandbytes as bnb
    import peft
    import transformers

    torch = bench.torch
    small = bench.small
    config = transformers.LlamaConfig(
        hidden_size=128 if small else 8192,
        intermediate_size=256 if small else 28672,
        num_hidden_layers=layers,
        num_attention_heads=4 if small else 64,
        num_key_value_heads=2 if small else 8,
        vocab_size=512 if small else 32000,
        max_position_embeddings=4096,
        attn_implementation="sdpa",
    )
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("meta"):
            model = transformers.LlamaModel(config)
    finally:
        torch.set_default_dtype(torch.float32)
    # Linear by linear, so that at most one is ever dense.
    for name, module in list(model.named_modules()):
        if bnb is not None and isinstance(module, torch.nn.Linear):
            packed = bnb.nn.Linear4bit(module.in_features, module.out_features, bias=False, compute_dtype=torch.bfloat16, quant_type="nf4")
            packed.weight = bnb.nn.Params4bit(torch.randn(module.out_features, module.in_features, dtype=torch.bfloat16) * 0.02,
                                              requires_grad=False, quant_type="nf4", compress_statistics=True)
            parent, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, packed.to(bench.device))
    for module in model.modules():
        for key, parameter in list(module.named_parameters(recurse=False)):
            if parameter.is_meta:
                shape, placed = parameter.shape, {"dtype": torch.bfloat16, "device": bench.device}
                new = torch.ones(shape, **placed) if parameter.dim() == 1 else torch.randn(shape, **placed).mul_(0.02)
                setattr(module, key, torch.nn.Parameter(new, requires_grad=False))
    model.rotary_emb = type(model.rotary_emb)(config=config).to(bench.device)
    wanted = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    model = peft.get_peft_model(model, peft.LoraConfig(r=8 if small else 64, lora_alpha=16, target_modules=wanted))
    model.train()
    sequences, length = (2, 32) if small else (8, 1280)
    tokens = torch.randint(config.vocab_size, (sequences, length), device=bench.device)
    gradient = bench.random(sequences, length, config.hidden_size)

    def step(_):
        # Like transformers' own trainer with bf16 = True: adapters are fp32 and multiplied in bf16.
        with torch.autocast(bench.device.split(":")[0], dtype=torch.bfloat16):
            out = model(input_ids=tokens, use_cache=False).last_hidden_state
        out.backward(gradient.to(out.dtype))

    seconds = bench.seconds(step)
    return {"base": "bfloat16" if bnb is None else "nf4", "layers": layers, "sequences": sequences, "length": length, "seconds": seconds,
            "tokens_a_second_and_layer": sequences * length * layers / seconds,
            "versions": {m.__name__: m.__version__ for m in (peft, transformers, *([bnb] if bnb else []))}}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny shapes, to test the program")
    parser.add_argument("--layers", type=int, default=2, help="of the model that PEFT trains")
    parser.add_argument("--json", type=pathlib.Path, help="file to write to")
    options = parser.parse_args()
    out = {}
    if importlib.util.find_spec("torch") is None:
        out = {name: "torch is not present" for name in ("torch", "bitsandbytes", "peft")}
    else:
        import torch

        if options.device.startswith("cuda") and not torch.cuda.is_available():
            out = {name: "this python3's torch sees no GPU" for name in ("torch", "bitsandbytes", "peft")}
        else:
            bench = Bench(torch, options.device, options.small)
            parts = {"torch": lambda: torch_baseline(bench), "bitsandbytes": lambda: bitsandbytes_products(bench),
                     "peft": lambda: peft_update(bench, options.layers)}
            for name, measure in parts.items():
                try:
                    out[name] = measure()
                except Absent as absent:
                    out[name] = str(absent)
                except Exception as error:  # another version's interface: named in the table, without stopping the
                                            # others
                    out[name] = f"failed: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
                if options.device.startswith("cuda"):
                    torch.cuda.empty_cache()
                print(f"{name:12} {'measured' if not isinstance(out[name], str) else out[name]}", file=sys.stderr)
    text = json.dumps(out, indent=1)
    if options.json is None:
        print(text)
        return
    temporary = options.json.with_name(options.json.name + ".part")
    temporary.write_text(text + "\n", encoding="utf-8")
    os.replace(temporary, options.json)


if __name__ == "__main__":
    main()
