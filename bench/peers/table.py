"""One table, Markdown to standard output and JSON to a file, from the reports that run.sh gathered in a folder."""

import argparse
import json
import platform
import sys
from pathlib import Path

ORDER = ("plain", "ours", "crypten", "spu")
QUIET = 0.1  # busier than this before a run, and its seconds are marked


def complete(name, report):
    """Our runtime's report with the keys of the others'."""
    if name != "ours":
        return report
    report = dict(report)
    report["system"] = "this repository"
    report["protocol"] = "2 parties with masked wires, 1 dealer"
    report["functions"] = "2Quad, GeLU and LayerNorm; client's embedding, classifier"
    report["placement"] = "4 processes, one thread each"
    if isinstance(report.get("peak_rss_bytes"), dict):
        report["peak_rss_bytes_by_role"] = report["peak_rss_bytes"]
        report["peak_rss_bytes"] = sum(peak or 0 for peak in report["peak_rss_bytes"].values())
    if "online_bytes_each_way" in report:
        report.setdefault("online_bytes", 2 * report["online_bytes_each_way"])
    if "online_seconds" in report and "offline_seconds" in report:
        report.setdefault("total_seconds", report["online_seconds"] + report["offline_seconds"])
    return report


def read_reports(folder):
    rows = {}
    for name in ORDER:
        path = folder / f"{name}.json"
        if not path.exists():
            continue
        try:
            report = json.loads(path.read_text())
        except json.JSONDecodeError as error:
            sys.exit(f"table.py: {path} is not JSON: {error}")
        if not isinstance(report, dict):
            sys.exit(f"table.py: {path} is not a JSON object")
        rows[name] = complete(name, report)
        busy = folder / f"{name}.busy"
        rows[name]["busy_before"] = float(busy.read_text()) if busy.exists() else None
    return rows


def add_ratios(rows):
    for row in rows.values():
        for other in ("plain", "ours"):
            for phase in ("online", "total"):
                base = rows.get(other, {}).get(f"{phase}_seconds")
                mine = row.get(f"{phase}_seconds")
                row[f"{phase}_times_{other}"] = mine / base if base and mine is not None else None


def seconds(value):
    return "" if value is None else f"{value:.3g} s" if value < 100 else f"{value:.0f} s"


def amount(value):
    if value is None:
        return ""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f} B"


def ratio(value):
    return "" if value is None else f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def rounds(row):
    if "messages_by_party" in row:
        return f"{max(row['messages_by_party'])} messages"
    return str(row.get("rounds", ""))


def markdown(rows, asked):
    lines = [
        f"{asked.shape}, {asked.layers} layers, {asked.tokens} tokens, random weights, cores {asked.cores} "
        f"of {cpu_name()}",
        "",
        "| | online | offline | together | between parties | from dealer | rounds | memory "
        "| online / plain | together / plain | online / ours | together / ours | largest difference |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows.values():
        noisy = row["busy_before"] is None or row["busy_before"] > QUIET
        difference = row.get("largest_difference")
        cells = [
            row["system"] + (" †" if noisy else ""),
            seconds(row.get("online_seconds")),
            seconds(row.get("offline_seconds")),
            seconds(row.get("total_seconds")),
            amount(row.get("online_bytes")),
            amount(row.get("offline_bytes")),
            rounds(row),
            amount(row.get("peak_rss_bytes")),
            *(ratio(row[f"{phase}_times_{other}"]) for other in ("plain", "ours") for phase in ("online", "total")),
            "" if difference is None else f"{difference:.2g}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    if any(row["busy_before"] is None or row["busy_before"] > QUIET for row in rows.values()):
        lines += ["", f"† under load: more than {QUIET:.0%} of the machine was busy with other things just before."]
    lines += ["", "What is and is not comparable: bench/peers/README.md. Rows:", ""]
    for row in rows.values():
        facts = [row.get(key) for key in ("version", "protocol", "functions", "placement")]
        lines.append(f"- {row['system']}: " + "; ".join(fact for fact in facts if fact))
    return "\n".join(lines)


def cpu_name():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reports", type=Path, help="folder with NAME.json and NAME.busy")
    parser.add_argument("--shape", required=True)
    parser.add_argument("--layers", type=int, required=True)
    parser.add_argument("--tokens", type=int, required=True)
    parser.add_argument("--cores", required=True)
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    asked = parser.parse_args()
    rows = read_reports(asked.reports)
    if not rows:
        sys.exit("table.py: nothing was measured")
    add_ratios(rows)
    whole = {
        "shape": asked.shape,
        "layers": asked.layers,
        "tokens": asked.tokens,
        "cores": asked.cores,
        "cpu": cpu_name(),
        "kernel": platform.release(),
        "rows": rows,
    }
    asked.output.write_text(json.dumps(whole, indent=2) + "\n")
    print(markdown(rows, asked))


if __name__ == "__main__":
    main()
