#!/usr/bin/env python3
"""Tries the tests: plants one fault after the other in the work tree, and expects a named test to fail.

    python3 scripts/planted_faults.py                 every fault that was not tried as it stands now
    python3 scripts/planted_faults.py --only NAME     these faults, tried before or not (may be given several times)
    python3 scripts/planted_faults.py --sound         every test without its fault: it must pass
    python3 scripts/planted_faults.py --check         nothing is run: each fault still applies, and docs/testing.md is the table
    python3 scripts/planted_faults.py --write         writes docs/testing.md from the list

The list is scripts/planted_faults.json: claim, where it is said, edits (file, text to find, text to put in its place), and the
arguments of `cargo test`. A fault counts as found when the build passes and the test fails by an assertion. Files are restored
whatever happens. Results are kept in target/planted-faults.json, so that a run that was stopped goes on where it was.
"""

import argparse
import hashlib
import json
import pathlib
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIST = ROOT / "scripts" / "planted_faults.json"
TABLE = ROOT / "docs" / "testing.md"
DONE = ROOT / "target" / "planted-faults.json"
# a test that a fault makes wait is stopped, and has not failed by an assertion
MOST_SECONDS = 1800

HEAD = """# Which test fails when a claim is broken

Written by `python3 scripts/planted_faults.py --write` from [scripts/planted_faults.json](../scripts/planted_faults.json), which holds the faults
themselves. Each row was tried: the fault planted in the code, the test run, and seen to fail by an assertion; without the fault it passes.
`python3 scripts/planted_faults.py` tries them all again (about an hour on two cores, for what it builds), `--only NAME` one of them;
`.ci` runs `--check`, which builds nothing: each fault still has its place in the code, and this table is the list.

| claim | said in | fault | test that fails (`cargo test --locked …`) |
|---|---|---|---|
"""

TAIL = """
No test can fail for these claims, or none is here: keys are wiped on drop; kernels branch on shapes only (nothing was measured); AES in
counter mode is a good generator; correlations and keys have no `Clone` and are taken by value (the compiler holds that); a role holds no more than its part on machines that do not exist yet; nobody forwards the ports.

A test holds, and no fault was planted: a hub token goes to the hub's own server only (`-p datasets --features hub --test it
private_and_gated_repositories_ask_for_a_token`).
"""


def faults():
    listed = json.loads(LIST.read_text())
    names = [fault["name"] for fault in listed]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        sys.exit(f"{LIST.name}: two faults are named {', '.join(sorted(twice))}")
    return listed


def planted(fault):
    """The files of a fault as they are and as it makes them. An edit that does not fit says so."""
    before, after = {}, {}
    for edit in fault["edits"]:
        path = ROOT / edit["file"]
        if path not in after:
            before[path] = after[path] = path.read_text()
        found = after[path].count(edit["find"])
        if found != 1:
            raise LookupError(f"{fault['name']}: the text to find is {found} times in {edit['file']}; mend the list")
        after[path] = after[path].replace(edit["find"], edit["put"])
    return before, after


def print_of(fault):
    """What a result holds for: the fault and the code that it is planted in."""
    before, _ = planted(fault)
    said = json.dumps([fault["edits"], fault["test"]], sort_keys=True)
    return hashlib.sha256("\0".join([said, *before.values()]).encode()).hexdigest()


def run(test):
    command = ["cargo", "test", "--locked", *test.split()]
    begin = time.monotonic()
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=MOST_SECONDS)
    except subprocess.TimeoutExpired:
        return "timeout", "", time.monotonic() - begin
    output = done.stdout + done.stderr
    seconds = time.monotonic() - begin
    ran = sum(int(line.split()[1]) for line in output.splitlines() if line.startswith("running "))
    if done.returncode < 0:
        return "stopped", output, seconds
    if "could not compile" in output or "error: no test target" in output:
        return "no build", output, seconds
    if ran == 0:
        return "no such test", output, seconds
    if done.returncode == 0:
        return "passed", output, seconds
    failed = "test result: FAILED" in output and "panicked at" in output
    return "failed" if failed else "broken", output, seconds


def try_fault(fault):
    before, after = planted(fault)
    try:
        for path, text in after.items():
            path.write_text(text)
        return run(fault["test"])
    finally:
        for path, text in before.items():
            path.write_text(text)


def cell(text):
    return text.replace("|", "\\|")


def table():
    rows = []
    for fault in faults():
        rows.append(f"| {cell(fault['claim'])} | {cell(fault['said'])} | {cell(fault['fault'])} | `{fault['test']}` |\n")
    return HEAD + "".join(rows) + TAIL


def check():
    wrong = []
    for fault in faults():
        try:
            planted(fault)
        except (LookupError, OSError) as error:
            wrong.append(str(error))
    if not TABLE.exists() or TABLE.read_text() != table():
        wrong.append(f"{TABLE.name} is not what the list says; say --write")
    for line in wrong:
        print(line)
    return 1 if wrong else 0


def sound():
    bad = 0
    for test in dict.fromkeys(fault["test"] for fault in faults()):
        outcome, output, seconds = run(test)
        print(f"{outcome:13} {seconds:5.0f} s  {test}", flush=True)
        if outcome != "passed":
            bad += 1
            print("\n".join(output.splitlines()[-25:]))
    return 1 if bad else 0


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", action="append", default=[], metavar="NAME")
    options.add_argument("--sound", action="store_true")
    options.add_argument("--check", action="store_true")
    options.add_argument("--write", action="store_true")
    options = options.parse_args()
    if options.write:
        TABLE.write_text(table())
        return 0
    if options.check:
        return check()
    if options.sound:
        return sound()
    unknown = set(options.only) - {fault["name"] for fault in faults()}
    if unknown:
        sys.exit(f"no fault is named {', '.join(sorted(unknown))}")
    # a stop by the system restores the files as Ctrl-C does
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    done = json.loads(DONE.read_text()) if DONE.exists() else {}
    missed = 0
    for fault in faults():
        name = fault["name"]
        if options.only and name not in options.only:
            continue
        mark = print_of(fault)
        if not options.only and done.get(name) == [mark, "failed"]:
            continue
        outcome, output, seconds = try_fault(fault)
        print(f"{'found' if outcome == 'failed' else outcome:13} {seconds:5.0f} s  {name}", flush=True)
        if outcome != "failed":
            missed += 1
            print("\n".join(output.splitlines()[-25:]))
        done[name] = [mark, outcome]
        DONE.parent.mkdir(exist_ok=True)
        DONE.write_text(json.dumps(done, indent=1))
    print(f"{missed} missed" if missed else "each fault was found")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
