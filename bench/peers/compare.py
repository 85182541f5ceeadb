"""TRL's functions and coho's on the same numbers: whether they agree, and their time. Run by bench/peers/compare."""
import os
import subprocess
import sys
import tempfile
import time
import types
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.filterwarnings("ignore")

import numpy as np
import torch
import trl
from trl import DPOTrainer, PPOTrainer
from trl.core import logprobs_from_logits, masked_whiten

SEQUENCES, LENGTH, TOKENS, VOCABULARY, HIDDEN = 512, 1024, 2048, 32000, 512
THREADS = torch.get_num_threads()


def fastest(work, rounds):
    result, best = work(), float("inf")
    for _ in range(rounds):
        begin = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - begin)
    return best, result


def with_gradient(x, loss):
    """The loss and its gradient with respect to x, as a trainer needs both."""
    x = x.detach().clone().requires_grad_()
    value = loss(x)
    value.backward()
    return value.detach(), x.grad


def make_inputs():
    torch.manual_seed(1)
    shape = (SEQUENCES, LENGTH)
    x = {name: torch.randn(shape) for name in ("rewards", "values")}
    x["rewards"] *= 0.1
    x["log_probs"] = -torch.randn(shape).abs()
    x["old_log_probs"] = x["log_probs"] + 0.2 * torch.randn(shape)
    x["other"] = -torch.randn(shape).abs()
    x["reference"] = x["other"] + 0.2 * torch.randn(shape)
    x["old_values"] = x["values"] + 0.2 * torch.randn(shape)
    lengths = torch.randint(LENGTH // 2, LENGTH + 1, (SEQUENCES, 1))
    x["mask"] = (torch.arange(LENGTH) < lengths).float()
    x["hidden"] = torch.randn(TOKENS, HIDDEN)
    x["head"] = 0.05 * torch.randn(VOCABULARY, HIDDEN)
    x["targets"] = torch.randint(VOCABULARY, (TOKENS,)).float()
    return x


def run_trl(x, gae):
    """Seconds and results of TRL, under the names of coho_peers."""
    seconds, results = {}, {}
    config = types.SimpleNamespace(
        gamma=0.99, lam=0.95, whiten_rewards=False, cliprange=0.2, cliprange_value=0.2, vf_coef=1.0, ratio_threshold=1e9
    )
    ppo = types.SimpleNamespace(config=config)
    ones = torch.ones(SEQUENCES, LENGTH)

    # compute_advantages also whitens; the whitening is timed separately next and subtracted.
    both, (_, _, returns) = fastest(lambda: PPOTrainer.compute_advantages(ppo, x["values"], x["rewards"], ones), 5)
    again, _ = fastest(lambda: masked_whiten(gae, ones), 20)
    seconds["gae"] = both - again
    results["returns"] = returns

    seconds["whiten"], results["whitened"] = fastest(lambda: masked_whiten(gae, x["mask"]), 20)
    results["whitened"] = results["whitened"] * x["mask"]  # coho gives 0 where the mask is

    # TRL's loss combines both parts, with the statistics that it always computes. A vocabulary of 1 makes the entropy
    # of the logits, which is not part of the loss, almost free.
    logits = torch.zeros(SEQUENCES, LENGTH, 1)

    def ppo_loss(part, policy, values):
        losses = PPOTrainer.loss(ppo, x["old_log_probs"], x["old_values"], logits, values, policy, x["mask"], gae,
                                 returns)  # fmt: skip
        return losses[part] if part < 2 else losses[0] + losses[1]

    def ppo_both():
        policy = x["log_probs"].detach().clone().requires_grad_()
        values = x["values"].detach().clone().requires_grad_()
        ppo_loss(2, policy, values).backward()
        return policy.grad, values.grad

    seconds["ppo_loss"], (results["d_log_probs"], results["d_values"]) = fastest(ppo_both, 10)
    results["policy_loss"] = ppo_loss(0, x["log_probs"], x["values"])
    results["value_loss"] = ppo_loss(1, x["log_probs"], x["values"])

    dpo = types.SimpleNamespace(
        beta=0.1, label_smoothing=0, loss_type="sigmoid", reference_free=False, f_divergence_type="reverse_kl",
        f_divergence_params=None, accelerator=types.SimpleNamespace(device="cpu"),
    )  # fmt: skip
    flat = {name: x[name].reshape(-1) for name in ("log_probs", "other", "old_log_probs", "reference")}

    def dpo_loss(preferred):
        losses = DPOTrainer.dpo_loss(dpo, preferred, flat["other"], flat["old_log_probs"], flat["reference"])
        return losses[0].mean()

    seconds["dpo_loss"], (results["dpo_loss"], results["d_chosen"]) = fastest(
        lambda: with_gradient(flat["log_probs"], dpo_loss), 10
    )

    targets = x["targets"].long()
    with torch.no_grad():
        seconds["selective_log_softmax"], results["selected"] = fastest(
            lambda: logprobs_from_logits((x["hidden"] @ x["head"].T).unsqueeze(0), targets.unsqueeze(0)), 3
        )
    return seconds, results


def main():
    program = sys.argv[1]
    print(f"TRL {trl.__version__} with torch {torch.__version__}, {THREADS} threads; coho's algorithms use one thread,")
    print(f"its log-probs all. {SEQUENCES} × {LENGTH} tokens or pairs, log-probs {TOKENS} × {VOCABULARY}, fp32.\n")
    x = make_inputs()
    with tempfile.TemporaryDirectory() as folder:
        for name, values in x.items():
            values.numpy().astype(np.float32).tofile(f"{folder}/{name}.f32")
        output = subprocess.run([program, folder, str(THREADS)], check=True, stdout=subprocess.PIPE, text=True).stdout
        own_seconds = {name: float(took) for name, took in (line.split() for line in output.splitlines())}

        def own(name):
            return torch.from_numpy(np.fromfile(f"{folder}/coho.{name}.f32", dtype=np.float32))

        seconds, results = run_trl(x, own("advantages").reshape(SEQUENCES, LENGTH))
        own_seconds["ppo_loss"] = own_seconds.pop("ppo_policy_loss") + own_seconds.pop("ppo_value_loss")

        failed = []
        for name, expected in results.items():
            mine, theirs = own(name), expected.detach().reshape(-1).float()
            worst = ((mine - theirs).abs().max() / theirs.abs().max().clamp_min(1e-30)).item()
            print(f"{name:<24} largest difference {worst:.1e} of the largest number")
            if not worst < 1e-4:
                failed.append(name)

    lines = [f"{'against TRL ' + trl.__version__:<36} {'coho':>10}  {'TRL':>14} {'ratio':>10}"]
    for name, theirs in seconds.items():
        mine = own_seconds[name]
        lines.append(f"{name:<36} {mine * 1e3:>7.2f} ms  {theirs * 1e3:>11.2f} ms {mine / theirs:>10.3f}")
    print("\n" + "\n".join(lines))
    table = os.environ.get("COHO_BENCH_TABLE")
    if table:
        with open(table, "a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    if failed:
        sys.exit(f"compare: coho and TRL differ in {', '.join(failed)}")


if __name__ == "__main__":
    main()
