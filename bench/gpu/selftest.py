#!/usr/bin/env python3
"""Tests the table's arithmetic on made-up numbers; with --program FILE, that bench_gpu measures each part on the CPU.

  selftest.py                          the arithmetic, peers.py's answers, `run`'s refusals
  selftest.py --program bench_gpu      runs it with --device cpu --small, and makes a table from its output
"""

import copy
import json
import math
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE))
import table  # noqa: E402

BANDWIDTH, FLOPS = 4e12, 800e12
PHASES = {"generation": 2.0, "policy": 3.0, "reference": 3.0, "values": 3.0, "rewards": 3.0, "update": 20.0}


def timing(seconds):
    return {"seconds": seconds, "least_seconds": seconds, "samples": 5, "calls": 1}


def linears():
    """Products of one linear of each kind: 0.8 of the bandwidth up to 16 rows, then 0.5 of the rate."""
    out = []
    for rows, columns, count in ((8192, 8192, 2), (1024, 8192, 2), (28672, 8192, 2), (8192, 28672, 1)):
        for m in (1, 2, 4, 8, 16, 64, 128, 256):
            moved, flops = rows * columns * table.NF4_BYTES, 2 * m * rows * columns
            seconds = moved / (0.8 * BANDWIDTH) if m <= 16 else flops / (0.5 * FLOPS)
            out.append({"rows": rows, "columns": columns, "of_a_layer": count, "m": m, "bytes": moved, "flops": flops, **timing(seconds)})
    return out


def step(layers, a_layer=1.0, rest=0.5, rollouts=144):
    return {"layers": layers, "rollouts": rollouts, "query_tokens": 256, "response_tokens": 1024, "slots": rollouts, "epochs": 2,
            "seconds": 1.0, "phases": {key: a_layer * layers * value + rest for key, value in PHASES.items()}}


def measured():
    kinds = {"gemm": timing(2e-3), "forward": timing(2.5e-3), "forward_backward": timing(4.4e-3), "memory": 3e8, "composite_memory": 3e9,
             "composite_forward": timing(10e-3), "composite_forward_backward": timing(25e-3)}
    passes = {"layers": 4, "sequences": 8, "length": 1280, **timing(0.1)}
    decoding = [{"role": role, "layers": layers, "prompt_tokens": 256, "tokens": 128, "seconds": 1.5e-4 * layers + 5e-4}
                for role in ("base", "frozen adapter", "trained adapter") for layers in (4, 8)]
    growth = [{"rollouts": 24, "query_tokens": 256, "response_tokens": r, "seconds": 0.01 * 24 * (256 + r)} for r in (256, 512, 1024)]
    memory = {"layers": 8, "sequences": 6, "of": "tensors", "known": True, "planned_resident": 10e9, "resident": 10.2e9, "planned_peak": 14e9,
              "peak": 14.7e9, "planned_layers": 80, "planned_peak_of_all": 80.3e9, "planned_peak_of_all_bf16_moments": 73.7e9}
    sections = {
        "limits": {"read": 3.9e12, "copy": BANDWIDTH, "triad": 3.8e12, "matmul": FLOPS},
        "nf4": {"dequantise": [{"of_a_layer": 1, "bytes": 4e8, "rows": 1, "columns": 1, **timing(2e-4)}], "linear": linears()},
        "log_probs": {"types": {"bfloat16": kinds, "float32": copy.deepcopy(kinds)}},
        "decoding": decoding,
        "passes": {"scoring": {**passes, "flops": 0.8 * FLOPS * 0.1}, "update": {**passes, "flops": 0.7 * FLOPS * 0.1}},
        "memory": memory,
        "ppo_step": {"runs": [step(2), step(4)]},
        "growth": {"steps": growth, "log_probs": [{"tokens": 4096, "words": w, "bytes": 3e8, "logits_bytes": 4 * 4096 * w}
                                                  for w in (32000, 128000)]},
    }
    return {"device": "cuda:0", "small": False, "compute": "BFloat16", "sections": sections, "not_measured": {}, "kernels": True, "libtorch": "2"}


class Floors(unittest.TestCase):
    def test_they_are_those_of_the_list_of_limits(self):
        self.assertAlmostEqual(table.LINEARS, 68.45e9, delta=1e7)
        self.assertAlmostEqual(table.ADAPTER, 828e6, delta=1e6)
        self.assertAlmostEqual(table.KEYS_AND_VALUES, 327680)
        self.assertAlmostEqual(table.LINEARS * table.NF4_BYTES, 35.3e9, delta=5e7)
        close = lambda value, expected: self.assertLess(abs(value / expected - 1), 0.005, (value, expected))
        close(table.decoding_floor(table.H200_BANDWIDTH), table.H200_DECODING)
        close(table.generation_floor(table.H200_FLOPS), 164)
        close(table.scoring_floor(table.H200_FLOPS), 131)
        close(table.update_floor(table.H200_FLOPS), 1588)
        close(table.update_floor(table.H200_FLOPS, recompute=False), 1065)
        close(table.step_floor(table.H200_FLOPS), table.H200_STEP)
        best = table.generation_floor(table.H200_FLOPS) + 3 * table.scoring_floor(table.H200_FLOPS)
        close(best + table.update_floor(table.H200_FLOPS, recompute=False), table.H200_BEST_STEP)


class Extrapolation(unittest.TestCase):
    def test_a_line_through_two_numbers_of_layers(self):
        self.assertEqual(table.line([(4, 11.0), (2, 7.0)]), (2.0, 3.0))
        self.assertEqual(table.extrapolate([(2, 7.0), (4, 11.0)]), 163.0)
        # A negative rest for zero layers is noise.
        self.assertEqual(table.extrapolate([(2, 3.0), (4, 7.0)]), 160.0)

    def test_noise_is_no_slope(self):
        for points in ([(2, 1.0), (4, 1.0)], [(2, 1.0), (4, 0.9)], [(2, 1.0), (2, 1.5)], [(2, 1.0), (4, math.nan)]):
            with self.assertRaises(table.Missing):
                table.line(points)

    def test_a_step_grows_by_layers_and_tokens(self):
        out = table.step_of_all([step(2), step(4)])
        # 80 layers, and four times the rollouts: four waves of decoding, four times the tokens.
        for phase, a_layer in PHASES.items():
            self.assertAlmostEqual(out[phase], 4 * (80 * a_layer + 0.5))

    def test_generation_grows_by_decoding_steps_and_not_by_tokens(self):
        runs = [{**step(layers, rollouts=48), "slots": 24, "response_tokens": 512, "query_tokens": 128} for layers in (2, 4)]
        out = table.step_of_all(runs)
        # 24 waves of 1024 steps instead of 2 waves of 512.
        self.assertAlmostEqual(out["generation"], 24 * (80 * 2 + 0.5))
        self.assertAlmostEqual(out["update"], 24 * (80 * 20 + 0.5))

    def test_fewer_epochs_are_made_up_for(self):
        runs = [{**step(layers), "epochs": 1} for layers in (2, 4)]
        self.assertAlmostEqual(table.step_of_all(runs)["update"], 2 * 4 * (80 * 20 + 0.5))

    def test_runs_that_differ_in_more_than_layers_are_refused(self):
        with self.assertRaises(table.Missing):
            table.step_of_all([step(2), step(4, rollouts=72)])
        with self.assertRaises(table.Missing):
            table.step_of_all([step(2)])


class Tables(unittest.TestCase):
    def table(self, change=lambda m: None, peers=None):
        content = measured()
        change(content)
        made = table.Table(content, peers).make()
        return made, {row.what: row for row in made.rows}

    def row(self, start, *arguments, **named):
        made, rows = self.table(*arguments, **named)
        found = [row for what, row in rows.items() if what.startswith(start)]
        self.assertEqual(len(found), 1, start)
        return made, found[0]

    def test_shares_of_limits(self):
        made, row = self.row("NF4 product, share of bandwidth")
        self.assertAlmostEqual(made.figures["nf4_few_rows"], 0.8)
        self.assertEqual(row.verdict, "met")
        self.assertAlmostEqual(made.figures["nf4_many_rows"], 0.5)
        self.assertAlmostEqual(made.figures["scoring"], 0.8)
        self.assertAlmostEqual(made.figures["update"], 0.7)
        self.assertEqual([r.verdict for r in made.rows if r.what.startswith(("scoring", "update, forward"))], ["met", "not met"])

    def test_memory_that_the_allocator_did_not_notice_is_not_measured(self):
        _, row = self.row("memory of log-probs", lambda m: m["sections"]["growth"]["log_probs"][0].update(bytes=0))
        self.assertEqual(row.verdict, f"not measured ({table.TOO_SMALL})")

    def test_the_worst_number_of_rows_counts(self):
        def slow(content):
            for row in content["sections"]["nf4"]["linear"]:
                if row["m"] == 16:
                    row["seconds"] *= 2

        made, row = self.row("NF4 product, share of bandwidth", slow)
        self.assertAlmostEqual(made.figures["nf4_few_rows"], 0.4)
        self.assertEqual(row.verdict, "not met")

    def test_decoding_is_extrapolated_and_says_so(self):
        made, row = self.row("decoding one sequence, frozen")
        self.assertAlmostEqual(made.figures["decoding"], table.decoding_floor(BANDWIDTH, 320) / (80 * 1.5e-4 + 5e-4))
        self.assertIn("extrapolated from 4 and 8 to 80 layers", row.measured)

    def test_log_probs_against_one_product_and_two(self):
        made, _ = self.table()
        self.assertAlmostEqual(made.figures["log_probs_bfloat16_forward"], 0.8)
        self.assertAlmostEqual(made.figures["log_probs_bfloat16_forward_backward"], 4.0 / 4.4)

    def test_a_step_against_its_floor(self):
        made, row = self.row("PPO step of")
        self.assertAlmostEqual(made.figures["ppo_step"], 4 * (80 * sum(PHASES.values()) + 6 * 0.5))
        self.assertEqual(row.verdict, "not met")
        for words in ("Extrapolated", "2 and 4 layers", "144 rollouts of 256 + 1024", "80", "576"):
            self.assertIn(words, row.measured)

    def test_memory(self):
        made, row = self.row("memory of the four models")
        self.assertAlmostEqual(made.figures["memory_ratio"], 1.05)
        self.assertEqual(row.verdict, "met")
        self.assertAlmostEqual(made.figures["state"], 73.7e9 * 1.05)
        _, row = self.row("memory of the four models", lambda m: m["sections"]["memory"].update(resident=12e9))
        self.assertEqual(row.verdict, "not met")

    def test_growth(self):
        made, row = self.row("a PPO step's time")
        self.assertAlmostEqual(made.figures["linear_growth"], 1)
        self.assertEqual(row.verdict, "met")
        _, row = self.row("a PPO step's time", lambda m: m["sections"]["growth"]["steps"][-1].update(seconds=1e3))
        self.assertEqual(row.verdict, "not met")

    def test_peers(self):
        rows = [{**row, "seconds": 1.6 * row["seconds"]} for row in linears()]
        made, row = self.row("NF4 product against bitsandbytes", peers={"bitsandbytes": rows})
        self.assertAlmostEqual(made.figures["nf4_peer"], 1.6)
        self.assertEqual(row.verdict, "met")
        _, row = self.row("NF4 product against bitsandbytes", peers={"bitsandbytes": "not present"})
        self.assertEqual(row.verdict, "not measured (bitsandbytes: not present)")

    def test_peft_says_over_which_base(self):
        ours = 8 * 1280 * 4 / 0.1
        for base, words in (("nf4", "bitsandbytes' NF4"), ("bfloat16", "not present")):
            made, row = self.row("update against PEFT", peers={"peft": {"base": base, "tokens_a_second_and_layer": ours / 2}})
            self.assertAlmostEqual(made.figures["qlora_peer"], 2)
            self.assertIn(words, row.measured)

    def test_what_is_missing_says_why(self):
        def cut(content):
            del content["sections"]["ppo_step"]
            content["not_measured"]["ppo_step"] = "the time budget is exhausted"

        _, row = self.row("PPO step of", cut)
        self.assertEqual(row.verdict, "not measured (the time budget is exhausted)")
        made = table.Table(None).make()
        self.assertTrue(all(row.verdict.startswith("not measured") for row in made.rows))

    def test_nothing_is_judged_on_a_cpu_or_in_small(self):
        for change in ({"device": "cpu"}, {"small": True}):
            made, _ = self.table(lambda m, change=change: m.update(change))
            self.assertFalse({"met", "not met"} & {row.verdict for row in made.rows})

    def test_markdown_has_a_line_a_row(self):
        made, _ = self.table()
        lines = made.markdown("a card").splitlines()
        self.assertEqual(len(lines), 4 + len(made.rows))
        self.assertTrue(all(line.count("|") == 5 for line in lines[2:]), lines)

    def test_durations(self):
        self.assertEqual([table.duration(x) for x in (2276.4, 1.5, 0.0088, 12.3e-6)], ["2276 s", "1.5 s", "8.8 ms", "12.3 µs"])


class Programs(unittest.TestCase):
    def run_it(self, *command):
        return subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, check=False)

    def test_run_refuses_what_is_not_there(self):
        for arguments, words in ((["--skip", "nonsense"], "no step nonsense"), (["--device", "tpu"], "--device"),
                                 (["--prefix", "/nowhere"], "has no folder include")):
            done = self.run_it(HERE / "run", *arguments)
            self.assertEqual(done.returncode, 2)
            self.assertIn(words, done.stderr)

    def test_a_machine_without_a_gpu_is_told_of_the_cpu(self):
        done = subprocess.run([sys.executable, str(HERE / "run")], capture_output=True, text=True, check=False, env={"PATH": "/nowhere"})
        self.assertEqual((done.returncode, done.stdout), (3, ""))
        self.assertIn("--device cpu", done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1)

    def test_a_run_without_its_program_fails_in_one_line_and_still_writes(self):
        with tempfile.TemporaryDirectory() as folder:
            done = self.run_it(HERE / "run", "--device", "cpu", "--small", "--skip", "build,test,peers", "--build", folder)
            self.assertEqual(done.returncode, 13, done.stderr)
            self.assertIn("measure: ", done.stderr)
            written = json.loads((pathlib.Path(folder) / "gpu.json").read_text(encoding="utf-8"))
            self.assertEqual({name: step["state"] for name, step in written["steps"].items()},
                             {"build": "skipped", "test": "skipped", "measure": "failed", "peers": "skipped"})


def positive_figures(test, value, path):
    """Every number is finite, and above 0 except for counts of nothing."""
    if isinstance(value, dict):
        for key, inner in value.items():
            positive_figures(test, inner, f"{path}.{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            positive_figures(test, inner, f"{path}[{index}]")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        test.assertTrue(math.isfinite(value) and value > 0, f"{path} is {value}")


class Measuring(unittest.TestCase):
    program = None

    def test_each_part_is_measured(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "figures.json"
            done = subprocess.run([self.program, "--device", "cpu", "--small", "--json", str(file)], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            written = json.loads(file.read_text(encoding="utf-8"))
        self.assertEqual(written["not_measured"], {})
        self.assertEqual(set(written["sections"]), set(measured()["sections"]))
        positive_figures(self, written["sections"], "sections")
        self.assertEqual({row["m"] for row in written["sections"]["nf4"]["linear"]}, {1, 2, 4, 8, 16, 64, 128, 256, 512})
        self.assertEqual([run["layers"] for run in written["sections"]["ppo_step"]["runs"]], [1, 2])
        made = table.Table(written).make()
        self.assertNotIn("bench_gpu did not run", made.markdown(""))
        allowed = (table.IN_NOISE, table.TOO_SMALL, table.NOT_PRESENT)
        for row in made.rows:
            if row.verdict.startswith("not measured"):
                self.assertTrue(any(word in row.verdict for word in allowed), row)


def main():
    if "--program" in sys.argv:
        at = sys.argv.index("--program")
        Measuring.program = sys.argv[at + 1]
        del sys.argv[at : at + 2]
        suite = unittest.defaultTestLoader.loadTestsFromTestCase(Measuring)
    else:
        cases = (Floors, Extrapolation, Tables, Programs)
        suite = unittest.TestSuite(unittest.defaultTestLoader.loadTestsFromTestCase(case) for case in cases)
    result = unittest.TextTestRunner(verbosity=1).run(suite)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
