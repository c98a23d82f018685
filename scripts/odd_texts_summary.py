#!/usr/bin/env python3
"""Judges private answers to the texts of odd_texts.py: each is right, or it was refused.

Reads one JSON object a line: {"kind", "tokens", "certified", "total", "float", "private"}. `certified` is false where
the client refused the answer, and `total` what it judged by; `private` may be null or absent where it was refused.
Prints two tables, by kind and by length:

  refused    answers that were refused
  needless   of them, those that were right all the same
  certified  answers that were given
  largest    difference between a logit of a given answer and floating point's
  off        given answers whose difference is more than 0.05: there must be none
  flipped    given answers with another label than floating point's, nearly equal logits among them
  total      the largest of a given answer

Ordinary texts are told apart: SST-2 sentences, passages of RTE and QNLI, pairs of MRPC and STS-B; of each at most 0.5 %
may be refused.
"""

import argparse
import json
import math
import sys
from pathlib import Path

EXAMPLE = """example:
  python3 scripts/odd_texts_summary.py answers.jsonl --texts 4000

exit codes: 0 all bars are met, 1 one is missed, 2 usage, 3 the answers are not what they should be."""

MOST_OFF = 0.05
MOST_REFUSED = 0.005
# what each group of ordinary texts consists of
GROUPS = {
    "SST-2 sentences": ("sst2-dev", "sst2-train"),
    "passages": ("rte", "qnli"),
    "pairs of MRPC": ("mrpc",),
    "pairs of STS-B": ("stsb",),
}
LENGTHS = (8, 16, 32, 64, 128, 256, 384, 512)
COLUMNS = ("texts", "refused", "needless", "certified", "largest", "off", "flipped", "total")


class Bad(Exception):
    """The answers cannot be judged."""


def is_logits(value):
    return isinstance(value, list) and len(value) > 0 and all(type(logit) in (int, float) for logit in value)


def as_logits(value):
    """JSON has no NaN: null stands for it."""
    return [math.nan if logit is None else logit for logit in value] if isinstance(value, list) else value


def read_answers(lines):
    answers = []
    for number, line in enumerate(lines, 1):
        try:
            answer = json.loads(line)
        except ValueError as error:
            raise Bad(f"line {number}: {error}") from error
        if (
            not isinstance(answer, dict)
            or not isinstance(answer.get("kind"), str)
            or type(answer.get("tokens")) is not int
        ):
            raise Bad(f'line {number}: expected an object with a "kind" and a number of "tokens"')
        if not isinstance(answer.get("certified"), bool):
            raise Bad(f'line {number}: "certified" is {answer.get("certified")!r}; expected true or false')
        answer["private"] = private = as_logits(answer.get("private"))
        exact = answer.get("float")
        if not is_logits(exact) or not all(map(math.isfinite, exact)):
            raise Bad(f'line {number}: "float" is {exact!r}; expected a list of numbers')
        # a refused answer need not be there
        given = is_logits(private) and len(private) == len(exact)
        if not given and (answer["certified"] or private is not None):
            raise Bad(f'line {number}: "private" is {private!r}; expected {len(exact)} numbers, as in "float"')
        answers.append(answer)
    if not answers:
        raise Bad("no answers")
    return answers


def difference(answer):
    """The largest between a private logit and floating point's; infinite where one is no number, or none was given."""
    if answer.get("private") is None:
        return math.inf
    pairs = zip(answer["private"], answer["float"])
    return max(abs(a - b) if math.isfinite(a) else math.inf for a, b in pairs)


def label(logits):
    """The largest logit's place, NaN being the least; a single logit is a number, and all have one label."""
    return max(range(len(logits)), key=lambda place: -math.inf if math.isnan(logits[place]) else logits[place])


def summary(answers):
    certified = [answer for answer in answers if answer["certified"]]
    refused = [answer for answer in answers if not answer["certified"]]
    differences = [difference(answer) for answer in certified]
    totals = [answer["total"] for answer in certified if type(answer.get("total")) in (int, float)]
    return {
        "texts": len(answers),
        "refused": len(refused),
        "needless": sum(difference(answer) <= MOST_OFF for answer in refused),
        "certified": len(certified),
        "largest": max(differences, default=None),
        "off": sum(not found <= MOST_OFF for found in differences),
        "flipped": sum(label(answer["private"]) != label(answer["float"]) for answer in certified),
        "total": max(totals, default=None),
    }


def shown(name, value):
    if value is None:
        return "-"
    return f"{value:.4f}" if name == "largest" else f"{value:.2e}" if name == "total" else str(value)


def table(title, rows):
    lines = [f"{title:16}" + "".join(f"{name:>11}" for name in COLUMNS)]
    for kind, row in rows.items():
        lines.append(f"{kind:16}" + "".join(f"{shown(name, row[name]):>11}" for name in COLUMNS))
    return "\n".join(lines)


def grouped(answers, name):
    """Summaries by what a function says of an answer, in the order in which that is met."""
    groups = {}
    for answer in answers:
        groups.setdefault(name(answer), []).append(answer)
    return {key: summary(group) for key, group in groups.items()}


def length_class(answer):
    ends = [end for end in LENGTHS if answer["tokens"] <= end]
    return f"to {ends[0]} tokens" if ends else f"over {LENGTHS[-1]} tokens"


def judge(answers, texts):
    """All bars as (what, whether it is met)."""
    every = summary(answers)
    bars = [
        (
            f"{every['off']} of {every['certified']} certified answers are off by more than {MOST_OFF}; none may be",
            not every["off"],
        )
    ]
    for group, kinds in GROUPS.items():
        members = [answer for answer in answers if answer["kind"] in kinds]
        refused = sum(not answer["certified"] for answer in members)
        if members:
            share = refused / len(members)
            what = f"{refused} of {len(members)} {group} are refused ({share:.2%}); {MOST_REFUSED:.1%} may be"
            bars.append((what, share <= MOST_REFUSED))
    if texts:
        bars.append((f"{len(answers)} answers; {texts} are expected at least", len(answers) >= texts))
    return bars


def main():
    arguments = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("answers", type=Path, nargs="?", metavar="FILE", help="answers, one a line [standard input]")
    arguments.add_argument(
        "--texts", type=int, metavar="N", help="so many answers at least, so that a run that was stopped does not pass"
    )
    arguments.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    given = arguments.parse_args()
    try:
        lines = (given.answers.read_text(encoding="utf-8") if given.answers else sys.stdin.read()).splitlines()
        answers = read_answers(lines)
    except (Bad, OSError, ValueError) as error:
        print(f"error: {given.answers or 'standard input'}: {error}", file=sys.stderr)
        sys.exit(3)
    by_kind = {**grouped(answers, lambda answer: answer["kind"]), "all": summary(answers)}
    by_length = grouped(sorted(answers, key=lambda answer: answer["tokens"]), length_class)
    bars = judge(answers, given.texts)
    if given.json:
        told = [{"bar": what, "met": met} for what, met in bars]
        print(json.dumps({"by_kind": by_kind, "by_length": by_length, "bars": told}, indent=1))
    else:
        print(table("kind", by_kind), table("length", by_length), sep="\n\n", end="\n\n")
        for what, met in bars:
            print(f"{'met   ' if met else 'MISSED'} {what}")
    sys.exit(0 if all(met for _, met in bars) else 1)


if __name__ == "__main__":
    main()
