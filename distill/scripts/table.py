#!/usr/bin/env python3
"""The table of docs/distillation.md out of compare.jsonl (scripts/compare.py) and reports of `runtime evaluate`.

    python distill/scripts/table.py results/distillation.jsonl [--private results/private-*.json]

Every score is in points (100 times what the metric gives; two metrics of a task are averaged, as GLUE does), with the mean
over seeds; behind the mean over the tasks stands its standard error, from what the seeds of each task differ by.
"""

import argparse
import collections
import json
import math
import statistics

TASKS = ["sst2", "mrpc", "rte", "cola", "stsb"]
METRICS = {"accuracy", "f1", "matthews_correlation", "pearson", "spearmanr", "spearman"}


def points(scores, prefix):
    found = [value for key, value in scores.items()
             if key.startswith(prefix) and key[len(prefix):] in METRICS]
    return 100 * statistics.mean(found) if found else None


def mean_of_tasks(by_task):
    """The mean over tasks of means over seeds, and its standard error."""
    if any(task not in by_task for task in TASKS):
        return None
    means = [statistics.mean(by_task[task]) for task in TASKS]
    squares = [statistics.variance(by_task[task]) / len(by_task[task]) for task in TASKS if len(by_task[task]) > 1]
    error = math.sqrt(sum(squares)) / len(TASKS) if len(squares) == len(TASKS) else None
    return statistics.mean(means), error


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs")
    parser.add_argument("--private", nargs="*", default=[])
    options = parser.parse_args()
    arms = collections.defaultdict(lambda: collections.defaultdict(list))
    with open(options.runs, encoding="utf-8") as file:
        # a run that was made again with other flags counts once
        records = {(r["task"], r["seed"], r["arm"]): r for r in map(json.loads, file)}
        for record in records.values():
            name, prefix = record["arm"], "teacher_eval_" if record["arm"] == "teacher" else "eval_"
            arms[name][record["task"]].append(points(record["scores"], prefix))
    for path in options.private:
        with open(path, encoding="utf-8") as file:
            report = json.load(file)
        for world in ("float", "clear", "private"):
            found = points(report.get(world) or {}, "")
            if found is not None:
                arms[f"{world}, the same students"][report["task"]].append(found)
    print("| | " + " | ".join(TASKS) + " | mean |")
    print("|---" * (len(TASKS) + 2) + "|")
    for name, by_task in arms.items():
        cells = [f"{statistics.mean(by_task[t]):.1f} ({len(by_task[t])})" if t in by_task else "" for t in TASKS]
        mean = mean_of_tasks(by_task)
        if mean:
            cells.append(f"{mean[0]:.2f}" + (f" ± {mean[1]:.2f}" if mean[1] is not None else ""))
        else:
            cells.append("")
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
