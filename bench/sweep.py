"""Measures `runtime bench model` over the sizes that docs/performance.md speaks of, one run after the other on a
machine that does nothing else, and writes results/performance.json: for each run its command, its figures, and the machine.

    python3 bench/sweep.py [--runtime target/release/runtime] [--output results/performance.json] [--only NAME ...]

Runs that are in the output already are kept, so that an interrupted sweep goes on where it stopped; --only measures
those of that name again.
"""
import argparse
import json
import os
import platform
import subprocess
import sys

BASE = {"model": "bert-base", "tokens": 128, "batch": 1, "embedding": "client", "schedule": "ahead", "link": "none"}


def runs():
    """Name and flags of every run; one name for each question."""
    yield "main", {**BASE}
    yield "main", {**BASE, "embedding": "private"}
    yield "schedule", {**BASE, "schedule": "stream"}
    for tokens in (16, 32, 64, 256, 512):
        yield "tokens", {**BASE, "tokens": tokens}
    for layers in (2, 4, 8):
        yield "layers", {**BASE, "layers": layers}
    for model in ("minilm-l3", "minilm-l6", "gte-small"):
        yield "models", {**BASE, "model": model}
    # ahead, its roles would need more memory together than 24 GB leave
    yield "models", {**BASE, "model": "bert-large", "schedule": "stream"}
    for batch in (1, 2, 4, 8):
        yield "batch", {**BASE, "tokens": 32, "batch": batch, "link": "10ms,1000mbit"}
    for link in ("lan", "wan"):
        yield "links", {**BASE, "link": link}


def command(runtime, flags, repeat):
    line = [runtime, "bench", "model", "--json", "--quiet", "--threads", "1", "--repeat", str(repeat)]
    for name, value in flags.items():
        line += [f"--{name}", str(value)]
    return line


def machine():
    name = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        name = names[0] if names else name
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    return {"cpu": name, "cores": os.cpu_count(), "system": platform.platform(), "commit": commit}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runtime", default="target/release/runtime")
    parser.add_argument("--output", default="results/performance.json")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=[], help="names of runs to measure again, and no others")
    options = parser.parse_args()
    if not os.access(options.runtime, os.X_OK):
        sys.exit(f"{options.runtime}: not a program; build it: cargo build --release")
    results = {"machine": machine(), "runs": []}
    if os.path.exists(options.output):
        with open(options.output, encoding="utf-8") as file:
            results["runs"] = json.load(file)["runs"]
    for name, flags in runs():
        if options.only and name not in options.only:
            continue
        done = [run for run in results["runs"] if run["name"] == name and run["flags"] == flags]
        if done and not options.only:
            continue
        line = command(options.runtime, flags, options.repeat)
        print(" ".join(line), file=sys.stderr)
        ended = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=False)
        if ended.returncode != 0:
            sys.exit(f"ended with code {ended.returncode}: {' '.join(line)}")
        results["runs"] = [run for run in results["runs"] if run not in done]
        shown = ["runtime"] + line[1:]
        results["runs"].append({"name": name, "flags": flags, "command": " ".join(shown),
                                "commit": results["machine"]["commit"], **json.loads(ended.stdout)})
        with open(options.output + ".new", "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
            file.write("\n")
        os.replace(options.output + ".new", options.output)


if __name__ == "__main__":
    main()
