"""Prints the tables of docs/performance.md as Markdown, or writes them into it between `<!-- figures: NAME -->` and
`<!-- end -->`. They are from results/performance.json (bench/sweep.py), results/peers.json (bench/peers/run.sh),
results/kernels.json (runtime bench kernels) and crates/ring64/benches/instructions.json. What was not measured says so.

    python3 bench/figures.py [NAME ...]
    python3 bench/figures.py --write docs/performance.md
"""

import argparse
import os
import re
import statistics
import sys

import performance
from performance import FITTED, Skip, Work, digits

BLOCK = re.compile(r"(<!-- figures: (\S+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
INSTRUCTIONS = "crates/ring64/benches/instructions.json"
QUIET = 0.1  # bench/peers/table.py
ROLES = 3  # two parties and a dealer


def table(heads, rows):
    """Markdown; numbers to the right, but not in the first column."""
    lines = [heads, ["---"] + ["--:"] * (len(heads) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def mega(value):
    return "unknown" if value is None else digits(value / 1e6)


def giga(value):
    return digits(value / 1e9)


def times(value, base):
    return digits(value / base)


def costs(run):
    """What most tables show of a run. Where correlations are streamed, only the sum of both phases means anything."""
    streamed = run["schedule"] == "stream"
    return [
        digits(run["online_seconds"]),
        "in online" if streamed else digits(run["offline_seconds"]),
        digits(run["plain_seconds"]),
        "" if streamed else times(run["online_seconds"], run["plain_seconds"]),
        mega(run["online_bytes_each_way"]),
        mega(run["offline_bytes"]),
        run["rounds"],
    ]


COSTS = ["online, s", "offline, s", "in the clear, s", "online / clear", "MB each way", "MB dealt", "rounds"]


def machine(results):
    found, run = results.machine, results.main()
    cores = "each party on a core of its own" if run["one_core_a_party"] else "roles where the system puts them"
    return (
        f"{found['cpu']}, {found['cores']} cores, {found['system']}, commit {found['commit'][:12]}; {cores}, "
        f"{run['threads']} thread a role, medians of {run['repeats']} requests after one that is not counted."
    )


def main_runs(results):
    shared = results.main()
    runs = [shared, *[run for run in results.named("main") if run is not shared]]
    whose = {"client": "`--embedding client`", "private": "private table"}
    rows = [[whose[run["embedding"]], *costs(run)] for run in runs]
    name = f"{shared['model']}, {shared['layers_run']} layers, {shared['tokens']} tokens"
    return table([name, *COSTS], rows)


def part_rows(run):
    """The distinct parts of the network with their multiply-adds; of all layers but the last, medians."""
    work, again = Work(run), run.again
    found = [performance.Facts(part, f"{run.what}: layers", again) for part in run["layers"]]
    if len(found) != run["layers_run"] + 2:
        raise Skip("the main run has no figures by layer: python3 bench/sweep.py --only main")
    done = [by_weights + 2 * between for by_weights, between in work.parts()]
    groups = [
        ("embedding", [0]),
        ("a layer (median)", list(range(1, work.layers))),
        ("last layer", [work.layers]),
        ("head", [-1]),
    ]
    for name, places in groups:
        if not places:
            continue
        values = [
            statistics.median(found[at][key] for at in places)
            for key in ("compute_seconds", "wait_seconds", "bytes", "rounds")
        ]
        yield name, values, done[places[0]]


def parts(results):
    run = results.main()
    try:
        _, peak, _ = results.best_kernel()
    except Skip:
        peak = None
    rows = []
    for name, (compute, wait, sent, rounds), done in part_rows(run):
        least = done / peak if peak else None
        ratio = digits(compute / least) if least else ""
        sizes = [mega(sent), round(rounds), giga(done)]
        rows.append([name, digits(1e3 * compute), digits(1e3 * wait), *sizes, digits(least and 1e3 * least), ratio])
    work, wait = (sum(part[f"{what}_seconds"] for part in run["layers"]) for what in ("compute", "wait"))
    whole = run["online_seconds"]
    heads = [
        "part",
        "work, ms",
        "waiting, ms",
        "MB each way",
        "rounds",
        "G multiply-adds",
        "products at least, ms",
        "work / that",
    ]
    return "\n".join(
        [
            table(heads, rows),
            "",
            f"All parts together: {digits(work)} s of work and {digits(wait)} s of waiting, of {digits(whole)} s "
            f"online. The difference, {digits(whole - work - wait)} s, is input on its way in, the answer on its "
            "way out, and that medians need not add up.",
        ]
    )


def floors(results):
    run = results.main()
    _, peak, memory = results.best_kernel()
    work = Work(run)
    dealt, opened = run["offline_bytes"], 2 * run["online_bytes_each_way"]
    fast, bandwidth = f"{digits(peak / 1e9)} G/s", f"{digits(memory / 1e9)} GB/s"
    cores = min(ROLES, results.machine["cores"])
    shared, products = f"{cores} cores x {fast}", work.offline() / (cores * peak)
    online = [
        ("matrix products of a party", f"{giga(work.online())} G multiply-adds", fast, work.online() / peak),
        ("dealt words, read once", f"{mega(dealt)} MB", bandwidth, dealt / memory),
        ("opened words, written and read once", f"{mega(opened)} MB", bandwidth, opened / memory),
    ]
    offline = [
        ("matrix products of dealer and parties", f"{giga(work.offline())} G multiply-adds", shared, products),
        ("dealt words, written once and read once", f"{mega(2 * dealt)} MB", bandwidth, 2 * dealt / memory),
    ]
    rows = [*floor_rows("online", online, run), *floor_rows("offline", offline, run)]
    ratio = times(run["online_seconds"], run["plain_seconds"])
    return "\n".join(
        [
            table(["", "amount", "at most", "at least, s", "measured / that"], rows),
            "",
            f"G is 10^9. In the clear it takes {digits(run['plain_seconds'])} s, online {ratio} times that.",
        ]
    )


def floor_rows(phase, parts_of_it, run):
    measured, least = run[f"{phase}_seconds"], sum(part[-1] for part in parts_of_it)
    rows = [[f"{phase}: {what}", amount, rate, digits(floor), ""] for what, amount, rate, floor in parts_of_it]
    whole = f"**{phase}, one after the other**; measured {digits(measured)} s"
    return [*rows, [whole, "", "", digits(least), digits(measured / least)]]


def tokens(results):
    runs = results.along("tokens", "tokens")
    rows = []
    for run in runs:
        work = Work(run)
        attention = f"{round(100 * 2 * work.between_wires() / work.online())} %"
        rows.append([run["tokens"], *costs(run), attention, run["restarts"]])
    fits = {
        key: f"{performance.exponent(runs, key)[0]:.2f}"
        for key in ("online_seconds", "offline_seconds", "plain_seconds")
    }
    return "\n".join(
        [
            table(["tokens", *COSTS, "attention's part of multiply-adds", "restarts"], rows),
            "",
            f"Fitted from {FITTED[0]} to {FITTED[1]} tokens, time grows as the number of tokens to the power of "
            f"{fits['online_seconds']} online, {fits['offline_seconds']} offline and {fits['plain_seconds']} in the "
            f"clear. Restarts are those of all {runs[0]['repeats']} requests together.",
        ]
    )


def layers(results):
    runs = results.along("layers", "layers_run")
    numbers = [run["layers_run"] for run in runs]
    fits = {key: performance.line(numbers, [run[key] for run in runs]) for key in ("online_seconds", "offline_seconds")}
    (online, _), (offline, _) = fits.values()
    return "\n".join(
        [
            table(["layers", *COSTS], [[run["layers_run"], *costs(run)] for run in runs]),
            "",
            f"By a straight line through these, a layer takes {digits(online)} s online and {digits(offline)} s "
            "offline; single runs are up to a third off that, offline most.",
        ]
    )


def models(results):
    runs = sorted(results.along("models", "model"), key=lambda run: run["online_seconds"])
    rows = []
    for run in runs:
        width = performance.SHAPES[run["model"]][1]
        rows.append([f"{run['model']}, {run['layers_run']} x {width}", *costs(run), giga(Work(run).online())])
    return table(["layers x width", *COSTS, "G multiply-adds online"], rows)


def batch(results):
    runs = results.batches()
    rows = []
    for run in runs:
        size, online, offline = run["batch"], run["online_seconds"], run["offline_seconds"]
        rates = [digits(size / online), digits(size / (online + offline))]
        rows.append([size, digits(online), digits(offline), *rates, mega(run["online_bytes_each_way"]), run["rounds"]])
    heads = ["texts", "online, s", "offline, s", "texts a second online", "with offline", "MB each way", "rounds"]
    gain = runs[-1]["batch"] / runs[-1]["online_seconds"] * runs[0]["online_seconds"]
    return "\n".join(
        [
            table(heads, rows),
            "",
            f"{runs[0]['model']}, {runs[0]['tokens']} tokens a text, link {runs[0]['link']}. Online, "
            f"{runs[-1]['batch']} texts at once go {digits(gain)} times as fast as one by one.",
        ]
    )


def links(results):
    rows = []
    for run in results.links():
        latency, bandwidth = performance.link(run)
        rounds, carried = performance.on_the_way(run)
        name = f"{run['link']}: {1e3 * latency:g} ms, {bandwidth * 8e-6:,.0f} Mbit/s" if bandwidth else "none"
        predicted, measured = run["predicted_seconds"], run["online_seconds"]
        shaped = (
            [digits(predicted), digits(measured), times(measured, predicted)]
            if bandwidth
            else ["", digits(measured), ""]
        )
        rows.append([name, digits(predicted - rounds - carried), digits(rounds), digits(carried), *shaped])
    heads = [
        "link",
        "all but the link, s",
        "rounds x latency, s",
        "bytes / bandwidth, s",
        "predicted, s",
        "measured, s",
        "measured / predicted",
    ]
    return table(heads, rows)


def schedule(results):
    ahead, run = results.main(), results.named("schedule")[0]
    rows = []
    for one in (ahead, run):
        peaks = performance.Facts(one["peak_rss_bytes"], f"{one.what}: peak_rss_bytes", one.again)
        roles = [peaks[role] for role in ("party0", "party1", "dealer")]
        whole = None if None in roles else sum(roles)
        online, offline = one["online_seconds"], one["offline_seconds"]
        rows.append(
            [f"`{one['schedule']}`", *map(digits, (online, offline, online + offline)), *map(mega, [*roles, whole])]
        )
    heads = [
        "correlations",
        "online, s",
        "offline, s",
        "together, s",
        "party 0, MB",
        "party 1, MB",
        "dealer, MB",
        "all three, MB",
    ]
    return table(heads, rows)


def peers(results):
    rows, marked = [], False
    found = results.peer_rows()
    for row in found.values():
        noisy = row.get("busy_before") is None or row["busy_before"] > QUIET
        marked |= noisy
        carried = [mega(row[key]) if row.get(key) is not None else "" for key in ("online_bytes", "offline_bytes")]
        rounds = f"{max(row['messages_by_party'])} messages" if "messages_by_party" in row else row.get("rounds", "")
        ratios = [
            digits(row.get(f"{phase}_times_{base}")) for base in ("plain", "ours") for phase in ("online", "total")
        ]
        apart = "" if row.get("largest_difference") is None else f"{row['largest_difference']:.2g}"
        seconds = [digits(row.get(f"{phase}_seconds")) for phase in ("online", "offline", "total")]
        rows.append(
            [
                row["system"] + (" †" if noisy else ""),
                *seconds,
                *carried,
                rounds,
                mega(row.get("peak_rss_bytes")),
                *ratios,
                apart,
            ]
        )
    heads = [
        "",
        "online, s",
        "offline, s",
        "together, s",
        "MB between parties, all added",
        "MB from dealer",
        "rounds",
        "memory, MB",
    ]
    heads += ["online / plain", "together / plain", "online / ours", "together / ours", "largest difference"]
    asked = results.peers
    what = f"{asked['shape']}, {asked['layers']} layers, {asked['tokens']} tokens"
    what += f", cores {asked['cores']} of {asked['cpu']}."
    why = (
        [f"† under load: more than {QUIET:.0%} of the machine was busy with other things just before."]
        if marked
        else []
    )
    facts = [
        " · ".join(str(row[key]) for key in ("version", "protocol", "functions", "placement") if row.get(key))
        for row in found.values()
    ]
    listed = [f"- {row['system']}: {fact}" for row, fact in zip(found.values(), facts, strict=True)]
    return "\n".join([table(heads, rows), "", " ".join([what, *why]), "", *listed])


def kernels(results):
    best, _, memory = results.best_kernel()
    rows = []
    for line in results.kernel_lines():
        if line["kernel"] == best or line["what"].startswith("packed product 128 x 768 x 3072"):
            rate = f"{digits(line['rate'])} {line['unit']}"
            rows.append([line["kernel"], line["what"], rate, f"{line['ratio']:.2f} of {line['bound']}"])
    return "\n".join(
        [
            table(["kernel", "what", "rate", "part of its bound"], rows),
            "",
            f"One thread; runs here use {best}. G/s are 10^9 multiply-adds of 64-bit words a second; one core reads "
            f"{digits(memory / 1e9)} GB/s. More than 1 of the memory's bound is data that a cache still holds.",
        ]
    )


def instructions(_):
    found = performance.read(INSTRUCTIONS, "cargo bench -p ring64 --bench instructions -- --accept", needed=True)
    counts = found["instructions"]
    calls = sorted({call for of_kernel in counts.values() for call in of_kernel})
    rows = [
        [call, *(f"{of_kernel[call]:,}" if call in of_kernel else "" for of_kernel in counts.values())]
        for call in calls
    ]
    return "\n".join([table(["call", *counts], rows), "", f"{found['rustc']}, {found['valgrind']}, {found['cpu']}."])


def commands(results):
    lines = []
    for run in results.runs:
        lines += [] if f"# {run['name']}" in lines else [f"# {run['name']}"]
        lines.append(run["command"])
    if not lines:
        raise Skip("nothing was measured: python3 bench/sweep.py")
    return "\n".join(["```", *lines, "```"])


FUNCTIONS = (
    machine,
    parts,
    floors,
    tokens,
    layers,
    models,
    batch,
    links,
    schedule,
    peers,
    kernels,
    instructions,
    commands,
)
BLOCKS = {"main": main_runs, **{f.__name__: f for f in FUNCTIONS}}


def block(name, results):
    try:
        return BLOCKS[name](results)
    except Skip as why:
        print(f"{name}: {why}", file=sys.stderr)
        return f"*Not measured yet: {why}.*"


def rewrite(path, results):
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        sys.exit(f"cannot read {path}: {error.strerror}")
    names = [found.group(2) for found in BLOCK.finditer(text)]
    if not names or not len(names) == text.count("<!-- figures:") == text.count("<!-- end -->"):
        sys.exit(f"{path}: each `<!-- figures: NAME -->` needs its `<!-- end -->`, and there must be one")
    unknown = [name for name in names if name not in BLOCKS]
    if unknown:
        sys.exit(f"{path}: no figures are called {', '.join(unknown)}; there are {', '.join(BLOCKS)}")
    text = BLOCK.sub(lambda found: f"{found.group(1)}{block(found.group(2), results)}\n{found.group(4)}", text)
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(f"{path}.new", path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    performance.add_paths(parser)
    parser.add_argument("--write", metavar="FILE", help="a document whose marked parts are written anew")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"some of {', '.join(BLOCKS)}; all where none is named"
    )
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in BLOCKS]
    if unknown:
        parser.error(f"no figures are called {', '.join(unknown)}; there are {', '.join(BLOCKS)}")
    if options.write and options.names:
        parser.error("--write writes all that the document marks; name none")
    results = performance.results(options)
    if options.write:
        rewrite(options.write, results)
        return
    for name in options.names or BLOCKS:
        print(f"## {name}\n\n{block(name, results)}\n")


if __name__ == "__main__":
    main()
