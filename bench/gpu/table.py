"""Targets for one H200, and the table that compares measurements with them.

`bench_gpu` writes raw measurements: seconds, bytes and operations. All arithmetic is here: fractions of the device's limits,
lines through two numbers of layers, extrapolation to 80 layers and 576 rollouts. Equations and targets are those of the
project's list of limits (docs/performance.md repeats them).
"""

import dataclasses
import math

# LLaMA-2 70B.
LAYERS, HIDDEN, INTERMEDIATE, VOCABULARY = 80, 8192, 28672, 32000
HEADS, KEY_VALUE_HEADS, HEAD_SIZE = 64, 8, 128
LINEARS = LAYERS * (
    2 * HIDDEN * HEADS * HEAD_SIZE + 2 * HIDDEN * KEY_VALUE_HEADS * HEAD_SIZE + 3 * HIDDEN * INTERMEDIATE
)  # 68.45e9 weights
HEAD = VOCABULARY * HIDDEN
RANK = 64
# Σ r·(in + out) over q, k, v, o, gate, up, down.
ADAPTER = LAYERS * RANK * (
    2 * (HIDDEN + HEADS * HEAD_SIZE) + 2 * (HIDDEN + KEY_VALUE_HEADS * HEAD_SIZE) + 3 * (HIDDEN + INTERMEDIATE)
)  # 828e6
BF16 = 2
# Half a byte of code; an absmax byte per 64 weights; a float per 256 of those.
NF4_BYTES = 1 / 2 + 1 / 64 + 4 / (64 * 256)  # 0.5159
KEYS_AND_VALUES = 2 * KEY_VALUE_HEADS * HEAD_SIZE * LAYERS * BF16  # bytes per token: 327,680

# SALMON's PPO step.
ROLLOUTS, QUERY, RESPONSE, EPOCHS = 576, 256, 1024, 2
LENGTH = QUERY + RESPONSE
TRAINED = 2  # policy and value model
SLOTS = 144  # sequences that one H200 decodes together at the floor
# A decoding step of 144 rows is compute-bound, and three quarters of the peak are reachable.
DECODING_SHARE = 0.75
# As in the paper's code: the policy's log-probabilities once more, then reference, reward and value.
SCORING_PASSES = 4

H200_BANDWIDTH, H200_FLOPS = 4.3e12, 790e12  # measured on such a GPU
# The values in the list of limits; `floors` gives the same.
H200_DECODING, H200_STEP, H200_BEST_STEP = 8.8e-3, 2276, 1622

# Targets.
NF4_SHARE = 0.70  # of bandwidth, up to 16 rows
NF4_PEER = 1.5  # times as fast as bitsandbytes, 64 to 256 rows
DECODING = 0.65  # floor / measured
GEMM_SHARE = 0.75  # of a large product's rate, scoring and update
LOG_PROBS = 0.8  # of a bare product's rate
STATE = 80e9  # bytes, four models and a step of six sequences
PLAN = 0.10  # how far memory may deviate from the plan
LINEAR = 0.15  # how far the seconds per token may differ between two lengths
FLAT = 0.10  # how much more memory four times as many words may take


@dataclasses.dataclass
class Row:
    what: str
    measured: str
    target: str
    verdict: str  # met, not met, not judged (why), not measured (why), for information


# What a run at tiny shapes, or one without peers, may lack.
IN_NOISE = "lost in noise"
TOO_SMALL = "too small to measure"
NOT_PRESENT = "not present"


class Missing(Exception):
    """Why a figure is not available."""


def line(points):
    """(slope, value at 0) of the line through two points; the first coordinates are numbers of layers."""
    (x0, y0), (x1, y1) = sorted(points)
    if x0 == x1:
        raise Missing("only one number of layers")
    slope = (y1 - y0) / (x1 - x0)
    if not slope > 0:
        raise Missing(f"{x1} layers took no longer than {x0}: {IN_NOISE}")
    return slope, y0 - slope * x0


def extrapolate(points, layers=LAYERS):
    """The value of the line for all layers. A negative constant is noise and counts as 0."""
    slope, rest = line(points)
    return slope * layers + max(rest, 0.0)


def attention(context):
    """Operations per token of attention scores and mixtures over all layers."""
    return 4 * HEADS * HEAD_SIZE * LAYERS * context


def decoding_floor(bandwidth, context=LENGTH):
    """Seconds of one token of one sequence: weights, head, adapter, keys and values, each read once."""
    return (LINEARS * NF4_BYTES + BF16 * (HEAD + ADAPTER) + KEYS_AND_VALUES * context) / bandwidth


def generation_floor(flops):
    """Seconds to decode all rollouts, 144 at a time, after reading their prompts."""
    step = 2 * SLOTS * (LINEARS + ADAPTER + HEAD) / (DECODING_SHARE * flops)
    prompts = ROLLOUTS * QUERY * (2 * (LINEARS + ADAPTER) + attention(QUERY / 2)) / flops
    return ROLLOUTS / SLOTS * RESPONSE * step + prompts


def scoring_floor(flops):
    """Seconds of one forward over all rollouts."""
    return ROLLOUTS * LENGTH * (2 * (LINEARS + ADAPTER) + attention(LENGTH / 2)) / flops


def update_floor(flops, recompute=True):
    """Seconds of all epochs of both trained models. A frozen linear costs 2 per weight forward and 2 back, an adapter 2 and 4,
    attention 1 and 2 of its forward; full recomputation adds a forward; the policy reads the head at responses, twice."""
    forward = 2 * (LINEARS + ADAPTER) + attention(LENGTH / 2)
    back = 2 * LINEARS + 4 * ADAPTER + 2 * attention(LENGTH / 2)
    token = forward + back + (forward if recompute else 0)
    head = 2 * 2 * HEAD * ROLLOUTS * RESPONSE * EPOCHS
    return (TRAINED * EPOCHS * ROLLOUTS * LENGTH * token + head) / flops


def step_floor(flops):
    """A PPO step as in the paper's code: 2276 s on an H200."""
    return generation_floor(flops) + SCORING_PASSES * scoring_floor(flops) + update_floor(flops)


def fair_step(flops):
    """The same with three quarters of the peak everywhere; generation's figure already includes that."""
    return generation_floor(flops) + (SCORING_PASSES * scoring_floor(flops) + update_floor(flops)) / GEMM_SHARE


def step_of_all(runs):
    """Phases of a step of 576 rollouts through 80 layers, from runs of the same rollouts on two numbers of layers.

    Each phase is a line in the layers. Scoring and update grow with tokens. Generation grows with decoding steps: as many
    waves of the measured number of sequences as 576 need, of 1024 steps each."""
    if len(runs) != 2:
        raise Missing("a run on two numbers of layers is needed")
    first, second = runs
    same = ("rollouts", "query_tokens", "response_tokens", "slots", "epochs")
    if any(first[key] != second[key] for key in same):
        raise Missing("the two runs differ in more than their layers")
    rollouts, length = first["rollouts"], first["query_tokens"] + first["response_tokens"]
    tokens = ROLLOUTS * LENGTH / (rollouts * length)
    steps = math.ceil(ROLLOUTS / first["slots"]) * RESPONSE / (math.ceil(rollouts / first["slots"]) * first["response_tokens"])
    out = {}
    for phase in first["phases"]:
        whole = extrapolate([(run["layers"], run["phases"][phase]) for run in runs])
        factor = steps if phase == "generation" else tokens
        if phase == "update":
            factor *= EPOCHS / first["epochs"]
        out[phase] = whole * factor
    return out


def duration(seconds):
    for unit, size in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            break
    value = seconds / size
    return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def gigabytes(number):
    return f"{number / 1e9:.2f} GB"


class Table:
    """Rows for the output of `bench_gpu` and `peers.py`."""

    def __init__(self, measured, peers=None):
        self.measured = measured or {}
        self.peers = peers or {}
        self.rows = []
        self.figures = {}

    def section(self, name):
        found = self.measured.get("sections", {}).get(name)
        if found is None:
            raise Missing(self.measured.get("not_measured", {}).get(name, "bench_gpu did not run"))
        return found

    def unjudged(self):
        if self.measured.get("small"):
            return "tiny shapes"
        if str(self.measured.get("device", "")).startswith("cpu"):
            return "not a GPU"
        return None

    def judge(self, holds):
        why = self.unjudged()
        return f"not judged ({why})" if why else "met" if holds else "not met"

    def add(self, key, what, target, make):
        """`make` returns (text, number, whether the target is met, or None if there is none)."""
        try:
            text, number, holds = make()
        except Missing as missing:
            self.rows.append(Row(what, "", target, f"not measured ({missing})"))
            return
        self.figures[key] = number
        self.rows.append(Row(what, text, target, "for information" if holds is None else self.judge(holds)))

    # -- single kernels

    def limits(self):
        found = self.section("limits")
        text = f"read {found['read'] / 1e12:.2f}, copy {found['copy'] / 1e12:.2f}, triad {found['triad'] / 1e12:.2f} TB/s"
        return text + f"; {found['matmul'] / 1e12:.3g} TFLOP/s {self.measured.get('compute', '')}", found["matmul"], None

    def bandwidth(self):
        found = self.section("limits")
        return max(found["read"], found["copy"], found["triad"])

    def flops(self):
        return self.section("limits")["matmul"]

    def layer(self, m):
        """Seconds, bytes and operations of the seven linears of a layer with m rows."""
        rows = [row for row in self.section("nf4")["linear"] if row["m"] == m]
        if not rows:
            raise Missing(f"no products with {m} rows")
        return tuple(sum(row[key] * row["of_a_layer"] for row in rows) for key in ("seconds", "bytes", "flops"))

    def dequantise(self):
        rows = self.section("nf4")["dequantise"]
        seconds, moved = (sum(row[key] * row["of_a_layer"] for row in rows) for key in ("seconds", "bytes"))
        share = moved / seconds / self.bandwidth()
        return f"{duration(seconds)} per layer, {share:.2f} of bandwidth", share, None

    def few_rows(self):
        shares = {}
        for m in (1, 2, 4, 8, 16):
            seconds, moved, _ = self.layer(m)
            shares[m] = moved / seconds / self.bandwidth()
        text = ", ".join(f"M {m}: {share:.2f}" for m, share in shares.items())
        return text, min(shares.values()), min(shares.values()) >= NF4_SHARE

    def many_rows(self):
        shares = {}
        for m in sorted({row["m"] for row in self.section("nf4")["linear"] if row["m"] > 16}):
            seconds, _, flops = self.layer(m)
            shares[m] = flops / seconds / self.flops()
        return ", ".join(f"M {m}: {share:.2f}" for m, share in shares.items()), max(shares.values()), None

    def against_peer(self):
        peer = self.peers.get("bitsandbytes")
        if not isinstance(peer, list):
            raise Missing(f"bitsandbytes: {peer or NOT_PRESENT}")
        ratios = {}
        for m in (64, 128, 256):
            theirs = [row for row in peer if row["m"] == m]
            if not theirs:
                raise Missing(f"bitsandbytes with {m} rows")
            ratios[m] = sum(row["seconds"] * row["of_a_layer"] for row in theirs) / self.layer(m)[0]
        return ", ".join(f"M {m}: {r:.2f} ×" for m, r in ratios.items()), min(ratios.values()), min(ratios.values()) >= NF4_PEER

    def log_probs(self, kind, which):
        found = self.section("log_probs")["types"][kind]
        bare = found["gemm"]["seconds"] * (1 if which == "forward" else 2)  # a forward with gradient is two products
        ours, theirs = found[which]["seconds"], found["composite_" + which]["seconds"]
        share = bare / ours
        text = f"{duration(ours)}, {share:.2f} of a bare product; {theirs / ours:.2f} × as fast as log_softmax"
        if which == "forward_backward" and found.get("memory"):
            text += f", {found['memory'] / max(found['composite_memory'], 1):.2f} of its memory"
        return text, share, share >= LOG_PROBS if kind == "bfloat16" else None

    # -- a few layers

    def decoding(self, role, judged):
        rows = [row for row in self.section("decoding") if row["role"] == role]
        points = [(row["layers"], row["seconds"]) for row in rows]
        slope, _ = line(points)
        whole = extrapolate(points)
        context = rows[0]["prompt_tokens"] + rows[0]["tokens"] / 2
        floor = decoding_floor(self.bandwidth(), context)
        share = floor / whole
        layers = " and ".join(str(x) for x, _ in sorted(points))
        text = f"{duration(slope)} per layer; extrapolated from {layers} to {LAYERS} layers {duration(whole)} per token, "
        text += f"{share:.2f} of the floor ({duration(floor)} here)"
        return text, share, share >= DECODING if judged else None

    def phase(self, name):
        found = self.section("passes")[name]
        rate = found["flops"] / found["seconds"]
        share = rate / self.flops()
        tokens = found["sequences"] * found["length"]
        return f"{rate / 1e12:.3g} TFLOP/s, {share:.2f} of a product's, {found['layers']} layers, {tokens} tokens", share, share >= GEMM_SHARE

    # -- the whole step

    def step(self):
        runs = self.section("ppo_step")["runs"]
        phases = step_of_all(runs)
        whole, flops = sum(phases.values()), self.flops()
        scoring = sum(phases[key] for key in ("policy", "reference", "values", "rewards"))
        a, b = sorted(run["layers"] for run in runs)
        run = runs[0]
        text = f"{whole:.0f} s (generation {phases['generation']:.0f}, scoring {scoring:.0f}, update {phases['update']:.0f}); floor here "
        text += f"{step_floor(flops):.0f} s. Extrapolated: measured on {a} and {b} layers, {run['rollouts']} rollouts of "
        text += f"{run['query_tokens']} + {run['response_tokens']} tokens; a line in the layers to {LAYERS}, times tokens to {ROLLOUTS} × ({QUERY} + {RESPONSE})"
        self.figures["ppo_phases"] = phases
        return text, whole, whole <= fair_step(flops)

    def memory_ratio(self):
        found = self.section("memory")
        if "peak" not in found:
            raise Missing("this libtorch does not report the memory of its allocator")
        peak, resident = found["peak"] / found["planned_peak"], found["resident"] / found["planned_resident"]
        text = f"{found['layers']} layers, {found['sequences']} sequences: resident {gigabytes(found['resident'])}, {resident:.3f} of the plan; "
        text += f"peak {gigabytes(found['peak'])}, {peak:.3f} of the plan"
        if found["of"] != "tensors":
            text += " (of the whole process)"
        return text, peak, abs(peak - 1) <= PLAN and abs(resident - 1) <= PLAN

    def state(self):
        found = self.section("memory")
        planned, bf16 = found["planned_peak_of_all"], found["planned_peak_of_all_bf16_moments"]
        if "peak" in found:
            off = max(found["peak"] / found["planned_peak"], 1.0)
            text = f"planned for {found['planned_layers']} layers {gigabytes(planned)} (bf16 moments {gigabytes(bf16)}); "
            text += f"times the ratio above {gigabytes(bf16 * off)}. Extrapolated by the plan"
            return text, bf16 * off, bf16 * off < STATE
        raise Missing(f"planned {gigabytes(bf16)} with bf16 moments, not confirmed by a measurement")

    def linear_growth(self):
        steps = self.section("growth")["steps"]
        rates = {}
        for run in steps:
            tokens = run["rollouts"] * (run["query_tokens"] + run["response_tokens"])
            rates[run["query_tokens"] + run["response_tokens"]] = run["seconds"] / tokens
        (short, first), (long, last) = min(rates.items()), max(rates.items())
        text = f"{duration(first)} per token at {short} tokens per rollout, {duration(last)} at {long} ({last / first:.2f} ×)"
        return text, last / first, last / first <= 1 + LINEAR

    def flat_memory(self):
        rows = self.section("growth")["log_probs"]
        if not rows:
            raise Missing("this libtorch does not report the memory of its allocator")
        base, wide = rows[0], rows[1]
        if base["bytes"] <= 1:
            raise Missing(TOO_SMALL)
        ratio = wide["bytes"] / base["bytes"]
        text = f"{base['bytes'] / 1e6:.0f} MB for {base['tokens']} × {base['words']}, {ratio:.2f} times that for {wide['words']} words "
        return text + f"(whole logits {gigabytes(wide['logits_bytes'])})", ratio, ratio <= 1 + FLAT

    def qlora(self):
        found = self.peers.get("peft")
        if not isinstance(found, dict):
            raise Missing(f"peft: {found or NOT_PRESENT}")
        theirs = found["tokens_a_second_and_layer"]
        run = self.section("passes")["update"]
        ours = run["sequences"] * run["length"] * run["layers"] / run["seconds"]
        base = "bitsandbytes' NF4" if found["base"] == "nf4" else "a bf16 base, because bitsandbytes is not present"
        return f"{ours:.3g} against {theirs:.3g} tokens × layers per second over {base}: {ours / theirs:.2f} ×", ours / theirs, None

    def torch_baseline(self):
        found = self.peers.get("torch")
        if not isinstance(found, dict):
            raise Missing(f"torch: {found or NOT_PRESENT}")
        parts = [f"M {row['m']}: {row['seconds'] / self.layer(row['m'])[0]:.2f} ×" for row in found["dense_layer"]]
        return "coho's NF4 products are " + ", ".join(parts) + " as fast as unpacked bf16 ones", None, None

    def make(self):
        self.add("limits", "the device's own limits", "—", self.limits)
        self.add("dequantise", "NF4 to bf16", "—", self.dequantise)
        self.add("nf4_few_rows", "NF4 product, share of bandwidth, the seven linears of a layer", f"≥ {NF4_SHARE:.2f} for M ≤ 16", self.few_rows)
        self.add("nf4_many_rows", "NF4 product, share of a bf16 product's rate", "—", self.many_rows)
        self.add("nf4_peer", "NF4 product against bitsandbytes", f"≥ {NF4_PEER} × for M 64–256", self.against_peer)
        self.add("nf4_torch", "NF4 product against torch, bf16 weights", "—", self.torch_baseline)
        self.add("decoding_base", "decoding one sequence, base only", "—", lambda: self.decoding("base", False))
        self.add("decoding", "decoding one sequence, frozen adapter", f"≥ {DECODING} of the floor", lambda: self.decoding("frozen adapter", True))
        self.add("decoding_trained", "decoding one sequence, adapter in training", "—", lambda: self.decoding("trained adapter", False))
        self.add("scoring", "scoring forward", f"≥ {GEMM_SHARE} of peak", lambda: self.phase("scoring"))
        self.add("update", "update, forward and backward, LoRA on all seven", f"≥ {GEMM_SHARE} of peak", lambda: self.phase("update"))
        self.add("qlora_peer", "update against PEFT", "—", self.qlora)
        for kind in ("bfloat16", "float32"):
            target = f"≥ {LOG_PROBS} of a product" if kind == "bfloat16" else "—"
            for which, name in (("forward", "forward"), ("forward_backward", "forward and backward")):
                self.add(f"log_probs_{kind}_{which}", f"fused log-probs {kind}, {name}", target,
                         lambda kind=kind, which=which: self.log_probs(kind, which))
        self.add("ppo_step", "PPO step of the 70B model", f"≤ {fair_step(H200_FLOPS):.0f} s on an H200 (floor {H200_STEP}, best {H200_BEST_STEP})", self.step)
        self.add("memory_ratio", "memory of the four models and a step against the plan", f"within {PLAN:.0%}", self.memory_ratio)
        self.add("state", "PPO state of the 70B model, six sequences per device", f"< {STATE / 1e9:.0f} GB", self.state)
        self.add("linear_growth", "a PPO step's time in real tokens", f"linear: ≤ {1 + LINEAR:.2f} × per token", self.linear_growth)
        self.add("flat_memory", "memory of log-probs with four times the words", f"≤ {1 + FLAT:.2f} ×", self.flat_memory)
        return self

    def markdown(self, heading):
        if self.unjudged() and self.measured:
            heading += f" ({self.unjudged()}: no figure here applies to the 70B model)"
        lines = [heading, "", "| what | measured | target | |", "| --- | --- | --- | --- |"]
        lines += [f"| {row.what} | {row.measured} | {row.target} | {row.verdict} |" for row in self.rows]
        return "\n".join(lines) + "\n"
