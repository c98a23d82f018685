#!/usr/bin/env python3
"""Trains teachers and students of several designs on GLUE tasks under equal token budgets, many runs at a time.

    python distill/scripts/compare.py --distill target/release/distill --base w/minilm-l6 --data glue --out runs

Every run is one call of `distill`; its command, its scores and its seconds are a line of OUT/compare.jsonl, which a later
call reads: what is there, with the same flags, is not run again; a teacher that is there is taken whatever its flags.
scripts/table.py makes the table of docs/distillation.md of it.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time

# Tokens of the teacher's training and of the student's two stages together; texts in a batch, which make some 590 steps of
# 1,700 tokens (SST-2: 3,400) of every budget; stage 1's share of the tokens, which is that of the published epochs (10 of
# 15, 20 of 25, 50 of 55).
TASKS = {
    "sst2": (2_000_000, 256, 10 / 15),
    "mrpc": (1_000_000, 32, 20 / 25),
    "rte": (1_000_000, 24, 50 / 55),
    "cola": (1_000_000, 144, 50 / 55),
    "stsb": (1_000_000, 56, 50 / 55),
}
# A batch is about four published ones, so that every published rate is doubled.
TEACHER = "--teacher-learning-rate 1e-4".split()
PUBLISHED = "--range-penalty 0 --stage1-learning-rate 1e-4 --stage2-learning-rate 2e-5".split()
# What "ours" adds to the published recipe, by name, so that each can be left out.
OURS = {
    "range": ["--range-penalty", "0.1"],
    "weights": ["--attention-loss", "weights"],
    "rates": "--stage1-linear-decay --stage1-learning-rate 5e-4 --stage2-learning-rate 2e-5".split(),
    "short": ["--short-texts", "0.1"],
    "dry": "--stage1-dropout 0 --stage2-dropout 0".split(),
    "split": [],
}
# What was tried and is not part of "ours"; ours+shift, say, has it.
TRIED = {"shift": ["--attention-shift", "fit"], "augment": ["--augment", "0.15"]}


def student(arm, task, tokens, share, base):
    """The flags of an arm: a name, ours+part, ours-part, or only+part+part, which has no other parts."""
    if arm == "plain":
        return ["--student", base, "--stage1-tokens", "0", "--stage2-tokens", str(tokens), "--range-penalty", "0",
                "--soft-weight", "0", "--gold-weight", "1", "--stage2-learning-rate", "1e-4"]
    flags = list(PUBLISHED)
    if arm == "mpcformer":
        flags += ["--gelu", "quad"]
    elif arm.startswith(("ours", "only")):
        parts = set(OURS) if arm.startswith("ours") else set()
        for part in OURS | TRIED:
            if f"-{part}" in arm:
                parts.discard(part)
            if f"+{part}" in arm:
                parts.add(part)
        for part in sorted(parts):
            flags += (OURS | TRIED)[part]
        if "split" in parts:
            share = 0.75
    elif arm != "secformer":
        sys.exit(f"no arm `{arm}`")
    # STS-B's published stage 2 is the true number's
    if task == "stsb":
        flags += ["--soft-weight", "0", "--gold-weight", "1"] if not arm.startswith(("ours", "only")) else []
    first = round(tokens * share)
    return flags + ["--stage1-tokens", str(first), "--stage2-tokens", str(tokens - first)]


class Runs:
    def __init__(self, options):
        self.options, self.lock = options, threading.Lock()
        self.path = pathlib.Path(options.out, "compare.jsonl")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        self.done = {(r["task"], r["seed"], r["arm"]): r for r in map(json.loads, lines)}

    def one(self, task, seed, arm):
        options = self.options
        tokens, batch, share = TASKS[task]
        tokens, batch = round(tokens * options.scale), round(batch * options.batches)
        out = pathlib.Path(options.out, f"{task}-{seed}-{arm}")
        teacher = pathlib.Path(options.out, f"{task}-{seed}-teacher", "teacher")
        command = [options.distill, "--recipe", "none", "--task", task, "--data-dir", options.data, "--seed", str(seed),
                   "--output-dir", str(out), "--device", options.device, "--per-device-train-batch-size", str(batch),
                   "--eval-steps", "100", "--freeze-embeddings",
                   "--save-steps", "1000000", "--logging-steps", "100", "--overwrite-output-dir", "--no-calibration"]
        if arm == "teacher":
            command += ["--teacher", options.base, "--teacher-tokens", str(tokens), "--stage1-tokens", "0",
                        "--stage2-tokens", "0"] + TEACHER
        else:
            command += ["--teacher", str(teacher)] + student(arm, task, tokens, share, options.base)
        done = self.done.get((task, seed, arm))
        if done and (arm == "teacher" or done["command"][1:] == command[1:]):
            return
        begin = time.time()
        with open(f"{out}.log", "w") as log:
            code = subprocess.call(command, stderr=log, stdout=log)
        seconds = time.time() - begin
        results = json.loads(pathlib.Path(out, "all_results.json").read_text()) if code == 0 else {}
        scores = {k: v for k, v in results.items() if "eval_" in k}
        record = {"task": task, "seed": seed, "arm": arm, "code": code, "seconds": round(seconds, 1),
                  "steps": results.get("train_steps"), "scores": scores, "ranges": results.get("ranges"),
                  "command": command}
        if code == 0:
            with self.lock, open(self.path, "a") as file:
                file.write(json.dumps(record) + "\n")
        for name in ["best.safetensors", "teacher_logits.safetensors"]:
            pathlib.Path(out, name).unlink(missing_ok=True)
        for folder in out.glob("checkpoint-*"):
            shutil.rmtree(folder, ignore_errors=True)
        if arm != "teacher" and arm not in options.keep:
            pathlib.Path(out, "model.safetensors").unlink(missing_ok=True)
        named = {k: round(v, 4) for k, v in scores.items() if isinstance(v, float)}
        print(f"{task} {seed} {arm}: exit {code}, {seconds:.0f} s, {named}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--distill", required=True)
    parser.add_argument("--base", required=True, help="the encoder's folder")
    parser.add_argument("--data", required=True, help="GLUE's folder")
    parser.add_argument("--out", required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--seeds", default="42,43")
    parser.add_argument("--arms", default="plain,mpcformer,secformer,ours")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies every token budget")
    parser.add_argument("--batches", type=float, default=1.0, help="multiplies every batch")
    parser.add_argument("--keep", default="", help="arms whose students stay")
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no run later than this")
    options = parser.parse_args()
    options.keep = set(options.keep.split(","))
    runs, begin = Runs(options), time.time()
    tasks, seeds = options.tasks.split(","), [int(seed) for seed in options.seeds.split(",")]
    arms = options.arms.split(",")

    def chain(task, seed):
        """A teacher, then its students."""
        runs.one(task, seed, "teacher")

        def later(arm):
            if time.time() - begin < options.seconds:
                runs.one(task, seed, arm)

        return [pool.submit(later, arm) for arm in arms]

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        first = [pool.submit(chain, task, seed) for seed in seeds for task in tasks]
        waiting = [run for future in first for run in future.result()]
        for run in waiting:
            run.result()


if __name__ == "__main__":
    os.environ.setdefault("RAYON_NUM_THREADS", "2")
    main()
