"""Labelled texts from GLUE's files and from one's own, and the scores GLUE gives, as the crate `datasets` has them."""

import csv
import io
import json
import math
from collections import Counter
from pathlib import Path

# name: (columns of text, second text and label in GLUE's files, classes by number, scores)
TASKS = {
    "cola": (("3", None, "1"), ["unacceptable", "acceptable"], ["matthews_correlation"]),
    "mnli": (("sentence1", "sentence2", "gold_label"), ["entailment", "neutral", "contradiction"], ["accuracy"]),
    "mrpc": (("#1 String", "#2 String", "Quality"), ["not_equivalent", "equivalent"], ["accuracy", "f1"]),
    "qnli": (("question", "sentence", "label"), ["entailment", "not_entailment"], ["accuracy"]),
    "qqp": (("question1", "question2", "is_duplicate"), ["not_duplicate", "duplicate"], ["accuracy", "f1"]),
    "rte": (("sentence1", "sentence2", "label"), ["entailment", "not_entailment"], ["accuracy"]),
    "sst2": (("sentence", None, "label"), ["NEGATIVE", "POSITIVE"], ["accuracy"]),
    "stsb": (("sentence1", "sentence2", "score"), [], ["pearson", "spearmanr"]),
    "wnli": (("sentence1", "sentence2", "label"), ["not_entailment", "entailment"], ["accuracy"]),
}
# Where a file of one's own has no flag to say it.
TEXT, PAIR = ("text", "sentence", "sentence1", "premise", "question"), ("text_pair", "sentence2", "hypothesis", "question2")
LABEL = ("label", "labels", "score")


class Unusable(Exception):
    """What is wrong with a file or a flag, for people."""


def letters(name):
    return "".join(c for c in name.lower() if c.isascii() and c.isalnum())


def task_of(path, name):
    """The task of that name, or the one that the file's folder is called after; None for a file of one's own."""
    found = letters(name or Path(path).resolve().parent.name)
    if found in TASKS:
        return found
    if name:
        raise Unusable(f"--task {name}: expected one of {', '.join(TASKS)}")
    return None


def rows_of(path, has_header):
    """The rows of a file as dictionaries; without a header the columns are called by their numbers, from 0."""
    ending = Path(path).suffix.lower()
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"{path}: {error}") from error
    if ending in (".jsonl", ".json"):
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    if ending == ".csv":
        return list(csv.DictReader(io.StringIO(text, newline="")))
    if ending != ".tsv":
        raise Unusable(f"{path}: the ending says what a file is; expected .tsv, .csv or .jsonl")
    lines = [line.rstrip("\r").split("\t") for line in text.split("\n") if line.rstrip("\r")]
    header = [name.strip() for name in lines.pop(0)] if has_header else [str(i) for i in range(len(lines[0]))]
    return [dict(zip(header, line)) for line in lines]


def columns(options, task, rows):
    """The columns of text, second text and label: a flag's, the task's, or by their usual names."""
    there = rows[0].keys() if rows else {}
    usual = [next((name for name in names if name in there), None) for names in (TEXT, PAIR, LABEL)]
    known = TASKS[task][0] if task else usual
    flags = (options.text_column, options.text_pair_column, options.label_column)
    found = [flag or name for flag, name in zip(flags, known)]
    for name, flag in zip(found, ("text", "text-pair", "label")):
        if name not in there and (name or flag != "text-pair"):
            said = name or f"text or label (--{flag}-column)"
            raise Unusable(f"{options.file}: no column {said}; there are {', '.join(there)}")
    return found


def read(options, names):
    """The task, and (text, second text or None, answer) of each row; a class is its number among the model's `names`,
    and a number if the model has one output."""
    task = task_of(options.file, options.task)
    rows = rows_of(options.file, task != "cola")
    text, pair, label = columns(options, task, rows)
    found, broken = [], 0
    for row in rows:
        answer = answer_of(str(row.get(label) or "").strip(), task, names)
        if answer is None or row.get(text) is None or (pair and row.get(pair) is None):
            broken += 1
        else:
            found.append((row[text], row[pair] if pair else None, answer))
    if not found:
        raise Unusable(f"{options.file}: no row has a text and an answer in {label} that the model knows")
    return task, found, broken


def places(task, names):
    """For each class of the task its place among the model's; its own where the model does not name it."""
    mine = [letters(name) for name in names]
    return [mine.index(letters(name)) if letters(name) in mine else i for i, name in enumerate(TASKS[task][1])]


def answer_of(cell, task, names):
    if len(names) == 1:
        try:
            return float(cell)
        except ValueError:
            return None
    classes = TASKS[task][1] if task else names
    found = [i for i, name in enumerate(classes) if name.lower() == cell.lower()]
    number = found[0] if found else int(cell) if cell.isdigit() and int(cell) < len(classes) else None
    if number is None or not task:
        return number
    return places(task, names)[number]


def scores(task, names, answers, truth):
    """The scores by the names they have in result files; answers and truth as the model numbers them."""
    if len(names) == 1:
        wanted = ["pearson", "spearmanr"]
    elif task:
        wanted, order = TASKS[task][2], places(task, names)
        answers, truth = ([order.index(i) for i in numbers] for numbers in (answers, truth))
    else:
        wanted = ["accuracy", "f1"] if len(names) == 2 else ["accuracy"]
    kinds = {
        "accuracy": accuracy, "f1": f1, "matthews_correlation": matthews, "pearson": pearson,
        "spearmanr": lambda a, b: pearson(ranks(a), ranks(b)),
    }  # fmt: skip
    found = {name: kinds[name](answers, truth) for name in wanted}
    if len(found) > 1:
        found["combined_score"] = sum(found.values()) / len(found)
    return found


def accuracy(answers, truth):
    return sum(a == t for a, t in zip(answers, truth)) / len(truth)


def f1(answers, truth):
    both = sum(a == t == 1 for a, t in zip(answers, truth))
    return 2 * both / max(1, answers.count(1) + truth.count(1))


def matthews(answers, truth):
    n, right, a, t = len(truth), sum(x == y for x, y in zip(answers, truth)), Counter(answers), Counter(truth)
    spread = (n * n - sum(c * c for c in a.values())) * (n * n - sum(c * c for c in t.values()))
    return (n * right - sum(count * t[name] for name, count in a.items())) / math.sqrt(spread) if spread else 0.0


def pearson(a, b):
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    ab = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b))
    spread = sum((x - mean_a) ** 2 for x in a) * sum((y - mean_b) ** 2 for y in b)
    return ab / math.sqrt(spread) if spread else 0.0


def ranks(numbers):
    """Ranks from 1; equal numbers share the mean of theirs."""
    counts, below, rank = Counter(numbers), 0, {}
    for number in sorted(counts):
        rank[number] = below + (counts[number] + 1) / 2
        below += counts[number]
    return [rank[number] for number in numbers]
