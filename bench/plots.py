"""Draws docs/performance/*.svg from results/performance.json (bench/sweep.py) and results/peers.json
(bench/peers/run.sh). The same results give the same bytes. A picture whose runs are missing is left as it is, with
a word about what to measure.

    pip install -r bench/requirements-plots.txt
    python3 bench/plots.py [--output docs/performance]
"""

import argparse
import math
import sys
from pathlib import Path

import performance
from performance import Skip, digits

try:
    import matplotlib
except ImportError:
    sys.exit("matplotlib is missing: pip install -r bench/requirements-plots.txt")
matplotlib.use("svg")
from matplotlib import pyplot
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

STYLE = {
    "svg.hashsalt": "private-bert",
    "svg.fonttype": "none",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titlepad": 12,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "grid.color": "#dddddd",
    "legend.frameon": False,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.figsize": (7.6, 4.2),
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.12,
    "figure.constrained_layout.h_pad": 0.12,
}
# told apart by those who see fewer colours (Okabe and Ito)
ONLINE, OFFLINE, PLAIN, WAIT = "#0072b2", "#e69f00", "#777777", "#56b4e9"
KINDS = [
    ("online_seconds", "online", ONLINE, "o"),
    ("offline_seconds", "offline", OFFLINE, "s"),
    ("plain_seconds", "in the clear, float32", PLAIN, "^"),
]


def axes(title, x, y):
    figure, ax = pyplot.subplots()
    ax.set_title(title)
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    return figure, ax


def plain_numbers(axis, marks=(1, 2, 5)):
    axis.set_major_locator(LogLocator(subs=marks))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_formatter(NullFormatter())


def ticks_at(ax, values):
    ax.set_xticks(values, [f"{value:g}" for value in values])
    ax.minorticks_off()


def tokens(results):
    runs = results.along("tokens", "tokens")
    fits = {key: performance.exponent(runs, key) for key, *_ in KINDS}
    low, high = performance.FITTED
    figure, ax = axes(
        f"From {low} to {high} tokens, online time grows with their power {fits['online_seconds'][0]:.2f}, "
        f"offline {fits['offline_seconds'][0]:.2f}",
        "tokens of one text (logarithmic)",
        "seconds (logarithmic)",
    )
    ax.set_xscale("log")
    ax.set_yscale("log")
    lengths = [run["tokens"] for run in runs]
    for key, label, colour, marker in KINDS:
        slope, factor = fits[key]
        within = [n for n in lengths if low <= n <= high]
        ax.plot(within, [factor * n**slope for n in within], "--", color=colour, linewidth=1)
        label = f"{label}, tokens^{slope:.2f}"
        ax.plot(lengths, [run[key] for run in runs], marker, color=colour, label=label)
    ticks_at(ax, lengths)
    plain_numbers(ax.yaxis)
    ax.legend()
    return figure


def layers(results):
    runs = results.along("layers", "layers_run")
    numbers = [run["layers_run"] for run in runs]
    slopes = {key: performance.line(numbers, [run[key] for run in runs]) for key, *_ in KINDS}
    online, offline = (digits(slopes[key][0], 2) for key in ("online_seconds", "offline_seconds"))
    figure, ax = axes(f"Each layer takes {online} s more online and {offline} s more offline", "layers", "seconds")
    for key, label, colour, marker in KINDS:
        slope, start = slopes[key]
        ax.plot(numbers, [start + slope * number for number in numbers], "--", color=colour, linewidth=1)
        ax.plot(numbers, [run[key] for run in runs], marker, color=colour, label=label)
    ticks_at(ax, numbers)
    ax.set_ylim(bottom=0)
    ax.legend()
    return figure


def models(results):
    runs = sorted(results.along("models", "model"), key=lambda run: run["online_seconds"])
    first, last = runs[0], runs[-1]
    ratio = last["online_seconds"] / first["online_seconds"]
    figure, ax = axes(
        f"Online, {last['model']} takes {digits(ratio, 2)} times as long as {first['model']}",
        "",
        f"seconds (logarithmic), {first['tokens']} tokens",
    )
    bars(ax, [f"{run['model']}\n{run['layers_run']} x {width(run)}" for run in runs], KINDS, runs)
    ax.set_yscale("log")
    plain_numbers(ax.yaxis)
    ax.legend()
    return figure


def width(run):
    return performance.SHAPES[run["model"]][1]


def bars(ax, names, kinds, runs):
    """A group of bars for each run, one bar for each kind."""
    size = 0.8 / len(kinds)
    for at, (key, label, colour, _) in enumerate(kinds):
        places = [i + (at - (len(kinds) - 1) / 2) * size for i in range(len(runs))]
        ax.bar(places, [run[key] for run in runs], size, color=colour, label=label)
    ax.set_xticks(range(len(runs)), names)
    ax.grid(visible=False, axis="x")


def batch(results):
    runs = results.batches()
    together = [run["batch"] / (run["online_seconds"] + run["offline_seconds"]) for run in runs]
    online = [run["batch"] / run["online_seconds"] for run in runs]
    last, gain = runs[-1], online[-1] / online[0]
    figure, ax = axes(
        f"On a link of {last['link']}, {last['batch']} texts at once go {digits(gain, 2)} times as fast as one by one",
        f"texts of {last['tokens']} tokens that share their rounds",
        "texts a second",
    )
    sizes = [run["batch"] for run in runs]
    ax.plot(sizes, online, "o-", color=ONLINE, label="online")
    ax.plot(sizes, together, "s-", color=OFFLINE, label="online and offline, one after the other")
    ax.set_xscale("log", base=2)
    ticks_at(ax, sizes)
    ax.set_ylim(bottom=0)
    ax.legend()
    return figure


def parts(results):
    run = results.main()
    if not run["layers"]:
        raise Skip("the main run has no figures by layer: python3 bench/sweep.py --only main")
    found = [performance.Facts(part, f"{run.what}: layers", run.again) for part in run["layers"]]
    work, wait = ([1e3 * part[f"{what}_seconds"] for part in found] for what in ("compute", "wait"))
    whole = 1e3 * run["online_seconds"]
    figure, ax = axes(
        f"Of {digits(whole)} ms online the slower party works {digits(sum(work))} ms in the network "
        f"and waits {digits(sum(wait))} ms",
        "part of the network",
        "milliseconds",
    )
    places = range(len(found))
    ax.bar(places, work, color=ONLINE, label="work")
    ax.bar(places, wait, bottom=work, color=OFFLINE, label="waiting for the other party")
    names = ["embed-\nding" if part["layer"] == "embedding" else part["layer"] for part in found]
    ax.set_xticks(places, names, fontsize=10 if len(found) <= 16 else 7)
    ax.grid(visible=False, axis="x")
    ax.set_ylim(top=1.2 * max(a + b for a, b in zip(work, wait, strict=True)))
    ax.legend(loc="upper center", ncols=2)
    return figure


def links(results):
    runs = [run for run in results.links() if run["link"] != "none"]
    worst = max(abs(run["online_seconds"] / run["predicted_seconds"] - 1) for run in runs)
    title = f"On slow links the time online is within {max(1, math.ceil(round(100 * worst, 1)))} % of what is predicted"
    figure, ax = axes(title, "link between the parties: one way, in each direction", "seconds online")
    size, places = 0.36, range(len(runs))
    rounds, carried = zip(*map(performance.on_the_way, runs), strict=True)
    work = [run["predicted_seconds"] - sum(performance.on_the_way(run)) for run in runs]
    below = [0.0] * len(runs)
    kinds = [
        (work, "all but the link", ONLINE),
        (rounds, "rounds x latency", WAIT),
        (carried, "bytes / bandwidth", OFFLINE),
    ]
    for values, label, colour in kinds:
        stack = ax.bar(places, values, size, bottom=below, color=colour, label=f"predicted: {label}")
        below = [a + b for a, b in zip(below, values, strict=True)]
    ax.bar_label(stack, [f"{digits(run['predicted_seconds'])} s" for run in runs], padding=2, fontsize=9)
    measured = [run["online_seconds"] for run in runs]
    bars = ax.bar([place + size for place in places], measured, size, color=PLAIN, label="measured")
    ax.bar_label(bars, [f"{digits(seconds)} s" for seconds in measured], padding=2, fontsize=9)
    ax.set_xticks([place + size / 2 for place in places], [link_name(run) for run in runs])
    ax.grid(visible=False, axis="x")
    ax.legend(loc="upper left")
    return figure


def link_name(run):
    latency, bandwidth = performance.link(run)
    return f"{run['link']}: {1e3 * latency:g} ms, {bandwidth * 8e-6:,.0f} Mbit/s"


def peers(results):
    rows = list(results.peer_rows().values())
    if len(rows) < 2:
        raise Skip(f"{results.peers.what} has one row only: {results.peers.again}")
    figure, ax = axes(peers_title(results), "seconds (logarithmic)", "")
    size = 0.38
    for at, (key, label, colour) in enumerate([("online", "online", ONLINE), ("total", "together", OFFLINE)]):
        values = [row[f"{key}_seconds"] for row in rows]
        places = [i + (at - 0.5) * size for i in range(len(rows))]
        found = ax.barh(places, values, size, color=colour, label=label)
        ax.bar_label(found, [f"{digits(value)} s" for value in values], padding=3, fontsize=9)
    ax.set_xscale("log")
    shortest, longest = min(row["online_seconds"] for row in rows), max(row["total_seconds"] for row in rows)
    ax.set_xlim(shortest / 3, longest * 5)
    ax.set_yticks(range(len(rows)), [row["system"].replace(", ", ",\n") for row in rows])
    ax.invert_yaxis()
    plain_numbers(ax.xaxis, (1,))
    ax.grid(visible=False, axis="y")
    ax.legend(loc="upper right")
    return figure


def peers_title(results):
    rows, asked = results.peer_rows(), results.peers
    shape = f"{asked['shape']}, {asked['layers']} layers, {asked['tokens']} tokens"
    if not {"plain", "ours"} <= rows.keys():
        return f"The same shape on the same cores: {shape}"
    ratio = rows["ours"]["online_seconds"] / rows["plain"]["online_seconds"]
    return f"{shape}: privately {digits(ratio, 2)} times PyTorch's time, online"


PICTURES = {f.__name__: f for f in (tokens, layers, models, batch, parts, links, peers)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    performance.add_paths(parser)
    parser.add_argument("--output", type=Path, default=Path("docs/performance"), help="folder for the pictures")
    parser.add_argument("--only", nargs="*", choices=PICTURES, default=list(PICTURES), help="some of the pictures")
    options = parser.parse_args()
    results = performance.results(options)
    options.output.mkdir(parents=True, exist_ok=True)
    matplotlib.rcParams.update(STYLE)
    for name in options.only:
        path = options.output / f"{name}.svg"
        try:
            figure = PICTURES[name](results)
        except Skip as why:
            print(f"{path} is left as it is: {why}", file=sys.stderr)
            continue
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        pyplot.close(figure)


if __name__ == "__main__":
    main()
