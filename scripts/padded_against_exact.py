#!/usr/bin/env python3
"""Holds padded texts to the same texts of public length: logits, labels, refusals, and what each class costs.

    cargo build --release --locked -p runtime
    python3 scripts/padded_against_exact.py --bundle BUNDLE --file TEXTS --out results/padded.json

TEXTS has one text a line. Each is classified twice by `runtime infer --json`, once padded and once with --exact-lengths; texts
of one class go together, so that the costs of a class are those of its texts alone.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def infer(options, texts, exact):
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("".join(text + "\n" for text in texts))
        file.flush()
        command = [options.program, "infer", "--bundle", options.bundle, "--file", file.name, "--json", "--quiet", "--uncertified"]
        done = subprocess.run(command + ["--exact-lengths"] * exact, capture_output=True, text=True)
        if done.returncode not in (0, 11):
            sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
        return json.loads(done.stdout)


def cost(found):
    texts = len(found["results"])
    cost, seconds = found["cost"], found["seconds"]
    return {
        "rounds_a_text": cost["rounds"] / texts,
        "online_bytes_a_text": cost["online_bytes_each_way"] / texts,
        "dealt_bytes_a_text": cost["offline_bytes"] / texts,
        "online_seconds_a_text": seconds["online"] / texts,
        "offline_seconds_a_text": seconds["offline"] / texts,
        "restarts": cost["restarts"],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=str(ROOT / "target/release/runtime"))
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--file", required=True)
    parser.add_argument("--most", type=int, default=300)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    texts = [line for line in pathlib.Path(options.file).read_text().splitlines() if line.strip()][: options.most]
    padded = infer(options, texts, False)["results"]
    classes = {}
    for text, result in zip(texts, padded):
        classes.setdefault(result["padded"], []).append(text)
    report = {"texts": len(texts), "classes": {}}
    differences, labels, refused = [], 0, [0, 0]
    for rows in sorted(classes):
        here, there = infer(options, classes[rows], False), infer(options, classes[rows], True)
        for one, other in zip(here["results"], there["results"]):
            differences += [abs(a - b) for a, b in zip(one["logits"], other["logits"])]
            labels += one["label"] != other["label"]
            refused[0] += one["certified"] is not True
            refused[1] += other["certified"] is not True
        report["classes"][rows] = {"texts": len(classes[rows]), "padded": cost(here), "exact": cost(there)}
    report["largest_difference_of_a_logit"] = max(differences)
    report["median_difference_of_a_logit"] = statistics.median(differences)
    report["labels_that_differ"] = labels
    report["not_certified"] = {"padded": refused[0], "exact": refused[1]}
    pathlib.Path(options.out).write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
