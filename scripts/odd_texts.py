#!/usr/bin/env python3
"""Writes the texts on which a private run is tried: each answer must be right, or refused.

Ordinary ones (SST-2 sentences, RTE and QNLI passages) and odd ones, unlike what a student was calibrated on: random
tokens repeated, prose in nine languages, code in six, LaTeX, logs, base64, numbers, emoji, control characters, random
words and tokens, and others (odd_kinds.py), from 1 token to as many as the model reads. With --pairs: pairs of MRPC or
STS-B, and pairs with an odd text on one or both sides.

SST-2's sentences are all of dev.tsv, by whose labels the shipped student's best step was chosen but over which no range
was observed; then random lines of train.tsv, which taught the student, without the 2,000 that `distill` and
`convert --calibrate` observe and without texts that were taken before: "sst2-dev" and "sst2-train".

The same arguments write the same bytes. odd_texts_summary.py judges the answers.
"""

import argparse
import json
import random
import sys
from pathlib import Path

from odd_kinds import CODE, KINDS, LANGUAGES, MORE, OTHERS, RANDOM, REPEATED_TOKENS, Bad, Odd, read_snippets
from wordpiece import WordPiece

EXAMPLE = """examples:
  python3 scripts/odd_texts.py --data-dir glue --vocab models/sst2-minilm-l4-2quad/vocab.txt -o texts.jsonl
  python3 scripts/odd_texts.py --data-dir glue --vocab student/vocab.txt --pairs mrpc --count 0.1

standard output, or -o FILE: one JSON object a line, {"kind", "text"} and, for pairs, "text_pair", in ASCII; a text may
hold line ends and NUL. Standard error: how many there are of each kind, and of how many tokens.
exit codes: 0 done, 2 usage, 3 a file is missing or not what it should be."""

# how many texts of each odd kind there are, and how many pairs
SINGLE = {
    **dict.fromkeys(LANGUAGES, 10),
    **dict.fromkeys(CODE, 8),
    **dict.fromkeys(OTHERS, 25),
    **dict.fromkeys(RANDOM, 35),
    **dict.fromkeys(MORE, 20),
}
PAIRED = dict.fromkeys(KINDS, 5)
REPEATED_PAIRS = 200 - sum(PAIRED.values())
REPEATED_LENGTHS = (2, 5, 16, 48, 120, 220, 360, 510)
# training texts that a calibration looks at
OBSERVED = 2000
TABLES = {"mrpc": ("MRPC", "#1 String", "#2 String"), "stsb": ("STS-B", "sentence1", "sentence2")}


def read_table(path, *columns):
    """Columns of a file in GLUE's layout: tabs, no quoting, a header."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, ValueError) as error:
        raise Bad(f"{path}: {error}") from error
    header = lines[0].rstrip("\r").split("\t")
    if missing := [column for column in columns if column not in header]:
        raise Bad(f"{path}: no column `{missing[0]}`; there are: {', '.join(header)}")
    places = [header.index(column) for column in columns]
    rows = (line.rstrip("\r").split("\t") for line in lines[1:] if line.strip())
    return [tuple(row[place].strip() for place in places) for row in rows if len(row) > max(places)]


def column(path, name):
    return [row[0] for row in read_table(path, name)]


def lengths(rng, count, longest):
    """Token counts: two in five from 1 to 100, evenly by magnitude; half from 100 on; one in ten the longest."""
    spread = []
    for place in range(count):
        at = (place + rng.random()) / count
        if at < 0.4:
            spread.append(min(longest, round(100 ** (at / 0.4))))
        else:
            spread.append(longest if at > 0.9 else rng.randint(min(100, longest), longest))
    return rng.sample(spread, count)


def share(count, part):
    """A part of so many, one at least."""
    return max(1, round(count * part))


def ordinary_texts(folder, seed, part):
    """SST-2 sentences and passages."""
    dev, train = (column(folder / "SST-2" / f"{split}.tsv", "sentence") for split in ("dev", "train"))
    observed = {train[place * len(train) // OBSERVED] for place in range(OBSERVED)}
    sources = (
        ("sst2-dev", dev, 872),
        ("sst2-train", sorted(set(train) - observed - set(dev)), 928),
        ("rte", sorted(set(column(folder / "RTE" / "dev.tsv", "sentence1"))), 200),
        ("qnli", sorted(set(column(folder / "QNLI" / "dev.tsv", "sentence"))), 200),
    )
    for kind, texts, wanted in sources:
        rng = random.Random(f"{seed} {kind}")
        for text in rng.sample(texts, min(len(texts), share(wanted, part))):
            yield {"kind": kind, "text": text}


def odd_texts(odd, seed, part, longest):
    rng = random.Random(f"{seed} repeat")
    for maker in odd.repeated(seed, share(REPEATED_TOKENS, part)):
        for length in REPEATED_LENGTHS:
            # the ends are kept, what lies between varies from token to token
            end = length in (REPEATED_LENGTHS[0], REPEATED_LENGTHS[-1])
            tokens = length if end else round(length * rng.uniform(0.8, 1.2))
            yield {"kind": "repeat", "text": odd.text(rng, maker, min(tokens, longest - 2))}
    for kind, count in SINGLE.items():
        rng = random.Random(f"{seed} {kind}")
        for tokens in lengths(rng, share(count, part), longest - 2):
            yield {"kind": kind, "text": odd.text(rng, odd.makers[kind], tokens)}


def odd_pair(rng, odd, maker, tokens, plain, longest):
    """Two texts: both odd, or one beside an ordinary one, which is not cut."""
    side = rng.choice(("both", "both", "first", "second"))
    if side == "both":
        ahead = max(1, min(tokens - 1, round(tokens * rng.uniform(0.1, 0.9))))
        return odd.text(rng, maker, ahead), odd.text(rng, maker, max(1, tokens - ahead))
    made = odd.text(rng, maker, max(1, min(tokens, longest - 3 - odd.wordpiece.count(plain))))
    return (made, plain) if side == "first" else (plain, made)


def pairs(folder, odd, task, seed, part, longest):
    name, *columns = TABLES[task]
    rows = read_table(folder / name / "dev.tsv", *columns)
    rng = random.Random(f"{seed} {task}")
    found = [(task, pair) for pair in rng.sample(rows, min(len(rows), share(300, part)))]
    makers = {"repeat": odd.repeated(seed, share(REPEATED_PAIRS, part))}
    makers.update({kind: [odd.makers[kind]] * share(count, part) for kind, count in PAIRED.items()})
    for kind, several in makers.items():
        rng = random.Random(f"{seed} {task} {kind}")
        for maker, tokens in zip(several, lengths(rng, len(several), longest - 3)):
            plain = rng.choice(rng.choice(rows))
            found.append((kind, odd_pair(rng, odd, maker, tokens, plain, longest)))
    return [{"kind": kind, "text": first, "text_pair": second} for kind, (first, second) in found]


def table(texts, wordpiece):
    """How many texts of each kind there are, and of how many tokens, [CLS] and [SEP] included."""
    by_kind = {}
    for text in texts:
        around = 3 if "text_pair" in text else 2
        tokens = around + wordpiece.count(text["text"]) + wordpiece.count(text.get("text_pair", ""))
        by_kind.setdefault(text["kind"], []).append(tokens)
    by_kind["all"] = [tokens for counts in by_kind.values() for tokens in counts]
    lines = [f"{'kind':14} {'texts':>5}  tokens: least, quarter, half, three quarters, most"]
    for kind, counts in by_kind.items():
        counts.sort()
        quarters = " ".join(f"{counts[(len(counts) - 1) * quarter // 4]:5}" for quarter in range(5))
        lines.append(f"{kind:14} {len(counts):5}  {quarters}")
    return "\n".join(lines)


def main():
    arguments = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument(
        "--data-dir", type=Path, required=True, metavar="GLUE", help="GLUE's folders: SST-2, RTE, QNLI; MRPC or STS-B"
    )
    arguments.add_argument(
        "--vocab", type=Path, required=True, metavar="FILE", help="the student's vocab.txt, of an uncased BERT"
    )
    arguments.add_argument(
        "--seed", type=int, default=12, metavar="N", help="what all choices follow from [%(default)s]"
    )
    arguments.add_argument("--pairs", choices=sorted(TABLES), help="500 pairs for a student of that task")
    arguments.add_argument(
        "--count",
        type=float,
        default=1.0,
        metavar="PART",
        help="this part of each kind, one text at least [%(default)s]",
    )
    arguments.add_argument(
        "--longest", type=int, default=512, metavar="N", help="tokens that the model reads [%(default)s]"
    )
    arguments.add_argument("-o", "--output", type=Path, metavar="FILE", help="where the texts go [standard output]")
    given = arguments.parse_args()
    if not 0 < given.count <= 1 or given.longest < 8:
        arguments.error("--count is above 0 and at most 1, --longest is 8 at least")
    try:
        wordpiece = WordPiece.load(given.vocab)
        snippets = read_snippets(Path(__file__).with_suffix(".txt"))
        odd = Odd(wordpiece, snippets, column(given.data_dir / "SST-2" / "dev.tsv", "sentence"))
        common = (given.seed, given.count, given.longest)
        if given.pairs:
            texts = pairs(given.data_dir, odd, given.pairs, *common)
        else:
            texts = [*ordinary_texts(given.data_dir, given.seed, given.count), *odd_texts(odd, *common)]
        lines = "".join(json.dumps(text) + "\n" for text in texts)
        if given.output:
            given.output.write_bytes(lines.encode("ascii"))
        else:
            sys.stdout.write(lines)
    except (Bad, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(3)
    print(table(texts, wordpiece), file=sys.stderr)


if __name__ == "__main__":
    main()
