#!/usr/bin/env python3
"""Judges a model's folder with Hugging Face transformers: a teacher as it is, a student with 2Quad in place of softmax.

    pip install torch transformers safetensors
    python distill/scripts/check_transformers.py FOLDER glue/SST-2/dev.tsv [--expect FOLDER/all_results.json]
    python distill/scripts/check_transformers.py FOLDER dev.csv --text-column review --label-column stars

The task of GLUE is --task or what the file's folder is called after; otherwise it is a file of your own (.tsv, .csv, .jsonl).
The scores go to standard output as JSON, what was seen on the way to standard error.

Exit codes: 0 all is well, 1 something is not (a weight is missing, padding changes the answers, the scores are not the
expected ones), 2 wrong usage or a file that cannot be used, 3 torch or transformers is missing.

It shows that transformers reads the folder and comes to the same scores; scripts/student_logits.py, without transformers,
that the equations are right. --save writes texts, token numbers and logits; distill/tests/it/transformers.json was made so
(--count 20), and a test of `distill` holds its own logits against it.
"""

import argparse
import json
import sys
from pathlib import Path

import labelled_texts

try:
    import torch
    import transformers
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
except ImportError as error:
    print(f"not checked: {error}; pip install torch transformers safetensors", file=sys.stderr)
    sys.exit(3)

# Texts in a batch, and those of the check that padding changes nothing.
BATCH, PADDED = 32, 20
# How far logits may be apart between a text alone and in a padded batch.
GAP = 1e-3


class TwoQuad:
    """Stands for softmax while a model runs: (x + c)^2 / sum (x + c)^2 over what the mask leaves."""

    def __init__(self, config):
        shift = getattr(config, "attention_shift", 5.0)
        layers, heads = config.num_hidden_layers, config.num_attention_heads
        rows = shift if isinstance(shift, list) else [[shift] * heads] * layers
        self.shifts = [torch.tensor(row).reshape(1, heads, 1, 1) for row in rows]
        self.calls = 0

    def __call__(self, scores, *_, **__):
        shift = self.shifts[self.calls % len(self.shifts)]
        self.calls += 1
        # transformers adds the smallest float to what is masked; its square would be infinite
        square = ((scores + shift) ** 2).masked_fill(scores < -1e9, 0.0)
        return square / square.sum(-1, keepdim=True)

    def run(self, model, **inputs):
        """The logits; says so if the model's attention did not come by."""
        usual, self.calls = torch.nn.functional.softmax, 0
        torch.nn.functional.softmax = self
        try:
            logits = model(**inputs).logits
        finally:
            torch.nn.functional.softmax = usual
        if self.calls != len(self.shifts):
            sys.exit(f"softmax was called {self.calls} times for {len(self.shifts)} layers")
        return logits


class Judge:
    """A model with its tokenizer, and how its scores become weights."""

    def __init__(self, folder, length, softmax):
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        model, loading = AutoModelForSequenceClassification.from_pretrained(
            folder, attn_implementation="eager", output_loading_info=True
        )
        self.model, self.length = model.float().eval(), length
        self.faults = {kind: sorted(map(str, names)) for kind, names in loading.items() if names}
        self.names = [model.config.id2label[i] for i in range(model.config.num_labels)]
        kind = getattr(model.config, "attention_softmax", "softmax")
        if kind not in ("softmax", "2quad"):
            sys.exit(f"config.json: attention_softmax is {kind}; expected softmax or 2quad")
        self.is_student = kind == "2quad"
        self.quad = TwoQuad(model.config) if self.is_student and not softmax else None

    def encode(self, texts, **how):
        first, second = [text for text, _, _ in texts], [pair for _, pair, _ in texts]
        pairs = None if second[0] is None else second
        return self.tokenizer(first, pairs, return_tensors="pt", truncation=True, max_length=self.length, **how)

    def logits(self, texts):
        """The logits of texts, padded to one batch."""
        inputs = self.encode(texts, padding=True)
        with torch.no_grad():
            return self.quad.run(self.model, **inputs) if self.quad else self.model(**inputs).logits

    def all_logits(self, texts):
        """The logits of every text, in batches of nearly equal length."""
        order = sorted(range(len(texts)), key=lambda i: sum(len(text or "") for text in texts[i][:2]))
        rows = [None] * len(texts)
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            for i, row in zip(chosen, self.logits([texts[i] for i in chosen])):
                rows[i] = row.tolist()
            if sys.stderr.isatty():
                end = "\n" if start + len(chosen) == len(texts) else ""
                print(f"\r{start + len(chosen)} of {len(texts)} texts", end=end, file=sys.stderr, flush=True)
        return rows


def expected(path, student):
    """The scores that a file of distill's holds: a student's `eval_*`, its teacher's `teacher_eval_*`, or those that
    `distill --evaluate-only` prints."""
    try:
        stored = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise labelled_texts.Unusable(f"{path}: {error}") from error
    prefix = "eval_" if student else "teacher_eval_"
    found = {name.removeprefix(prefix): value for name, value in stored.items() if name.startswith(prefix)}
    samples = stored.get("eval_samples", stored.get("samples"))
    return (found or stored) | {"samples": samples}


def differences(scores, wanted):
    """What is not as it was expected: a share by more than two texts' worth, a correlation of numbers by more than 1e-3."""
    found = []
    if wanted["samples"] != scores["samples"]:
        found.append(f"samples: {scores['samples']}, expected {wanted['samples']}")
    for name, value in scores.items():
        if not isinstance(value, float):
            continue
        share = name in ("accuracy", "f1", "matthews_correlation", "combined_score") and "pearson" not in scores
        most = max(1e-3, 2 / scores["samples"]) if share else 1e-3
        if wanted.get(name) is None or not abs(value - wanted[name]) <= most:
            found.append(f"{name}: {value:.4f}, expected {wanted.get(name)} within {most:.4f}")
    return found


def parse():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder")
    arguments.add_argument("file", help="GLUE's development file or one of your own")
    arguments.add_argument("--task", help="the task of GLUE")
    arguments.add_argument("--text-column")
    arguments.add_argument("--text-pair-column")
    arguments.add_argument("--label-column")
    arguments.add_argument("--max-seq-length", type=int, default=128)
    arguments.add_argument("--softmax", action="store_true", help="a student too under softmax, as transformers runs it by itself")
    arguments.add_argument("--count", type=int, help="texts, evenly spread (all)")
    arguments.add_argument("--save", metavar="FILE", help="where texts, token numbers and logits go")
    arguments.add_argument("--expect", metavar="FILE", help="all_results.json, to hold the scores against")
    return arguments.parse_args()


def main():
    options = parse()
    judge = Judge(options.folder, options.max_seq_length, options.softmax)
    named = f"torch {torch.__version__}, transformers {transformers.__version__}: {type(judge.model).__name__}"
    print(f"{named}, {'2Quad' if judge.quad else 'softmax'}, {', '.join(judge.names)}", file=sys.stderr)
    print(f"keys missing, unexpected or of another shape: {judge.faults or 'none'}", file=sys.stderr)
    try:
        task, texts, broken = labelled_texts.read(options, judge.names)
        wanted = expected(options.expect, judge.is_student) if options.expect else None
    except labelled_texts.Unusable as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    if broken:
        print(f"{broken} broken rows are left out", file=sys.stderr)
    count = min(options.count or len(texts), len(texts))
    texts = [texts[i * len(texts) // count] for i in range(count)]

    rows = judge.all_logits(texts)
    regression = len(judge.names) == 1
    answers = [row[0] if regression else max(range(len(row)), key=row.__getitem__) for row in rows]
    scores = {"task": task or Path(options.file).name, "samples": count}
    scores |= labelled_texts.scores(task, judge.names, answers, [answer for _, _, answer in texts])
    print(json.dumps(scores))

    # Alone and padded to one batch: the mask is part of 2Quad.
    sample = texts[:: -(-count // PADDED)]
    alone = torch.cat([judge.logits([text]) for text in sample])
    gap = (judge.logits(sample) - alone).abs().max().item()
    print(f"largest difference between texts alone and padded to one batch: {gap:.1e}", file=sys.stderr)
    if options.save:
        lines = []
        for text in texts:
            said = {"text": text[0]} if text[1] is None else {"text": text[0], "text_pair": text[1]}
            ids = judge.encode([text])["input_ids"][0].tolist()
            lines.append(json.dumps(said | {"ids": ids, "logits": judge.logits([text])[0].tolist()}))
        Path(options.save).write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
        print(f"written to {options.save}", file=sys.stderr)
    found = differences(scores, wanted) if wanted else []
    for line in found:
        print(line, file=sys.stderr)
    sys.exit(1 if judge.faults or not gap <= GAP or found else 0)


if __name__ == "__main__":
    main()
