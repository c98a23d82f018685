"""What plots.py and figures.py share: reading the results, choosing runs, fitting, counting multiply-adds."""

import json
import math
import sys
from pathlib import Path

FITTED = (16, 256)  # tokens: below, starting costs count; above, restarts and attention's squares do

# layers, width, heads, inner width, words: crates/bench/src/shapes.rs
SHAPES = {
    "bert-base": (12, 768, 12, 3072, 30_522),
    "bert-large": (24, 1024, 16, 4096, 30_522),
    "minilm-l6": (6, 384, 12, 1536, 30_522),
    "minilm-l3": (3, 384, 12, 1536, 30_522),
    "gte-small": (12, 384, 12, 1536, 30_522),
    "tiny": (2, 64, 4, 256, 1000),
}
SEGMENTS = 2
NAMED_LINKS = {"lan": "0.25ms,10000mbit", "wan": "20ms,400mbit"}  # crates/local/src/network.rs


class Skip(Exception):
    """Something was not measured; the text says what and how to."""


class Facts(dict):
    """A JSON object that ends the program when asked for what it does not have."""

    def __init__(self, values, what, again):
        super().__init__(values)
        self.what, self.again = what, again

    def __missing__(self, key):
        sys.exit(f'{self.what} has no "{key}"; measure it again: {self.again}')


def read(path, command, needed=False):
    """The object in a file, or None where there is no such file and none is needed."""
    if not Path(path).exists():
        if needed:
            sys.exit(f"{path} is not there; make it: {command}")
        return None
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        sys.exit(f"{path} is not JSON: {error}")
    if not isinstance(found, dict):
        sys.exit(f"{path} is not a JSON object; make it again: {command}")
    return Facts(found, str(path), command)


class Results:
    """All that was measured."""

    def __init__(self, performance, peers, kernels):
        sweep = "python3 bench/sweep.py"
        found = read(performance, sweep, needed=True)
        self.machine = Facts(found["machine"], f"{performance}: machine", sweep)
        self.runs = [self._run(performance, number, run) for number, run in enumerate(found["runs"])]
        self.peers = read(peers, f"bench/peers/run.sh --output {peers}")
        self.kernels = read(kernels, f"runtime bench kernels --json > {kernels}")

    @staticmethod
    def _run(path, number, run):
        name = run.get("name", "without a name") if isinstance(run, dict) else "not an object"
        again = f"python3 bench/sweep.py --only {name}"
        if not isinstance(run, dict) or "name" not in run:
            sys.exit(f"{path}: run {number} is {name}; measure all again: python3 bench/sweep.py")
        run = Facts(run, f"{path}: run {number} ({name})", again)
        if run["model"] not in SHAPES:
            sys.exit(f"{run.what}: the shape {run['model']} is not in bench/performance.py")
        return run

    def named(self, name):
        runs = [run for run in self.runs if run["name"] == name]
        if not runs:
            raise Skip(f"no run `{name}` was measured: python3 bench/sweep.py --only {name}")
        return runs

    def main(self):
        """The run that all others differ from in one thing."""
        for run in self.named("main"):
            if run["embedding"] == "client":
                return run
        raise Skip('no run `main` with "embedding": "client" was measured: python3 bench/sweep.py --only main')

    def along(self, name, key):
        """The main run and those of a name, by what they differ in."""
        return sorted([self.main(), *self.named(name)], key=lambda run: run[key])

    def batches(self):
        runs = sorted(self.named("batch"), key=lambda run: run["batch"])
        if runs[0]["batch"] != 1 or len(runs) < 2:
            raise Skip("`batch` was measured in part only: python3 bench/sweep.py --only batch")
        return runs

    def links(self):
        """The main run, then the slow links."""
        return [self.main(), *sorted(self.named("links"), key=lambda run: link(run)[0])]

    def peer_rows(self):
        if self.peers is None:
            raise Skip("no peers were measured: bench/peers/run.sh --output results/peers.json")
        again = self.peers.again
        return {name: Facts(row, f"{self.peers.what}: {name}", again) for name, row in self.peers["rows"].items()}

    def best_kernel(self):
        """Name of the fastest kernel, its multiply-adds a second in registers alone, and the bytes a second that one
        core reads."""
        lines = self.kernel_lines()
        best = max((line for line in lines if line["what"].startswith("packed")), key=lambda line: line["rate"])
        own = [line for line in lines if line["kernel"] == best["kernel"]]
        reading = next(line for line in own if line["bound"] == "reading memory")
        return best["kernel"], 1e9 * best["rate"] / best["ratio"], 1e9 * reading["rate"] / reading["ratio"]

    def kernel_lines(self):
        if self.kernels is None:
            raise Skip("the machine's own rates were not measured: runtime bench kernels --json > results/kernels.json")
        return [Facts(one, f"{self.kernels.what}: kernels", self.kernels.again) for one in self.kernels["kernels"]]


def exponent(runs, key):
    """The `e` and `c` of `c tokens^e` by least squares of logarithms, within FITTED."""
    runs = [run for run in runs if FITTED[0] <= run["tokens"] <= FITTED[1]]
    if len({run["tokens"] for run in runs}) < 3:
        raise Skip(
            f"fewer than three lengths from {FITTED[0]} to {FITTED[1]} tokens: python3 bench/sweep.py --only tokens"
        )
    slope, at_zero = line([math.log(run["tokens"]) for run in runs], [math.log(run[key]) for run in runs])
    return slope, math.exp(at_zero)


def line(x, y):
    """Slope and value at zero, by least squares."""
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    slope = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / sum((a - mean_x) ** 2 for a in x)
    return slope, mean_y - slope * mean_x


def link(run):
    """Seconds one way and bytes a second of a run's link; both 0 where it was not slowed down."""
    name = run["link"]
    if name == "none":
        return 0.0, 0.0
    try:
        latency, bandwidth = NAMED_LINKS.get(name, name).split(",")
        return float(latency.removesuffix("ms")) / 1e3, float(bandwidth.removesuffix("mbit")) * 1e6 / 8
    except ValueError:
        sys.exit(f"{run.what}: not a link: {name}")


def on_the_way(run):
    """Seconds that a run's rounds and its bytes take on its link."""
    latency, bandwidth = link(run)
    return run["rounds"] * latency, run["online_bytes_each_way"] / bandwidth if bandwidth else 0.0


class Work:
    """Multiply-adds of a run, part by part: each pair is (by weights, between wires).

    After keys and values the last layer computes one row a text. Where wires meet, a party multiplies two matrices,
    `[xy] = x^ (i y^ - [b]) - [a] y^ + [ab]`, and the dealer one.
    """

    def __init__(self, run):
        _, self.width, _, self.inner, words = SHAPES[run["model"]]
        self.tokens, self.batch, self.layers = run["tokens"], run["batch"], run["layers_run"]
        private = run["embedding"] == "private"
        self.embedding = (self.batch * self.tokens * (words + SEGMENTS) * self.width if private else 0, 0)
        self.layer, self.last = self._layer(self.tokens), self._layer(1)
        self.head = (self.batch * self.width**2, 0)

    def _layer(self, asking):
        width = self.width
        keys_and_values = 2 * self.tokens * width**2
        rows = asking * (2 * width**2 + 2 * width * self.inner)  # query, output, both of the feed-forward part
        return self.batch * (keys_and_values + rows), self.batch * 2 * asking * self.tokens * width

    def parts(self):
        return [self.embedding, *[self.layer] * (self.layers - 1), self.last, self.head]

    def by_weights(self):
        return sum(part[0] for part in self.parts())

    def between_wires(self):
        return sum(part[1] for part in self.parts())

    def online(self):
        """Of each party."""
        return self.by_weights() + 2 * self.between_wires()

    def dealer(self):
        return self.by_weights() + self.between_wires()

    def offline(self):
        """Of the dealer and both parties."""
        return self.dealer() + 2 * self.by_weights()


def digits(value, count=3):
    """A number with so many digits that count, never in powers of ten."""
    if value is None:
        return ""
    if value == 0:
        return "0"
    after = max(0, count - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{after}f}"


def add_paths(parser):
    parser.add_argument("--performance", default="results/performance.json", help="what bench/sweep.py wrote")
    parser.add_argument(
        "--peers", default="results/peers.json", help="what bench/peers/run.sh --output wrote, if there"
    )
    parser.add_argument("--kernels", default="results/kernels.json", help="what runtime bench kernels printed, if there")


def results(options):
    return Results(options.performance, options.peers, options.kernels)
