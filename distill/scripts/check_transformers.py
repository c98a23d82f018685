#!/usr/bin/env python3
"""Reads a student's folder with Hugging Face transformers and runs it with 2Quad in place of softmax.

    pip install torch transformers safetensors
    python distill/scripts/check_transformers.py FOLDER DEV.TSV [--count 20] [--save FILE]

Exit codes: 0 all is well, 1 something is not, 3 torch or transformers is missing.

It shows that transformers reads the folder; scripts/student_logits.py, without transformers, that the equations are right.

--save writes texts, token numbers and logits; distill/tests/whole/transformers.json was made so, and a test of
`distill` holds its own logits against it.
"""

import argparse
import csv
import json
import sys

try:
    import torch
    import transformers
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
except ImportError as error:
    print(f"not checked: {error}; pip install torch transformers safetensors", file=sys.stderr)
    sys.exit(3)


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
            with torch.no_grad():
                logits = model(**inputs).logits
        finally:
            torch.nn.functional.softmax = usual
        if self.calls != len(self.shifts):
            sys.exit(f"softmax was called {self.calls} times for {len(self.shifts)} layers")
        return logits


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder")
    arguments.add_argument("tsv", help="a table with the columns sentence and label")
    arguments.add_argument("--count", type=int, default=20, help="sentences, evenly spread (20)")
    arguments.add_argument("--save", metavar="FILE")
    options = arguments.parse_args()

    with open(options.tsv, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    count = min(options.count, len(rows))
    rows = [rows[i * len(rows) // count] for i in range(count)]

    tokenizer = AutoTokenizer.from_pretrained(options.folder)
    model, loading = AutoModelForSequenceClassification.from_pretrained(
        options.folder, attn_implementation="eager", output_loading_info=True
    )
    model = model.float().eval()
    wrong = {kind: sorted(map(str, names)) for kind, names in loading.items() if names}
    labels = model.config.id2label
    print(f"torch {torch.__version__}, transformers {transformers.__version__}: {type(model).__name__}, {labels}")
    print(f"keys missing, unexpected or of another shape: {wrong or 'none'}")
    if getattr(model.config, "attention_softmax", None) != "2quad":
        sys.exit("config.json has no `attention_softmax: 2quad`")

    quad, lines, right, softmax_right = TwoQuad(model.config), [], 0, 0
    for row in rows:
        inputs = tokenizer(row["sentence"], return_tensors="pt", truncation=True, max_length=128)
        logits = quad.run(model, **inputs)[0]
        right += int(logits.argmax() == int(row["label"]))
        with torch.no_grad():
            softmax_right += int(model(**inputs).logits[0].argmax() == int(row["label"]))
        lines.append({"text": row["sentence"], "ids": inputs["input_ids"][0].tolist(), "logits": logits.tolist()})

    # The same in one padded batch: the mask is part of 2Quad.
    texts = [line["text"] for line in lines]
    inputs = tokenizer(texts, return_tensors="pt", padding=True, truncation=True, max_length=128)
    together = quad.run(model, **inputs)
    gap = (together - torch.tensor([line["logits"] for line in lines])).abs().max().item()
    print(f"2Quad: {right} of {count} right; the same weights under softmax: {softmax_right}")
    print(f"largest difference between texts alone and padded to one batch: {gap:.1e}")
    if options.save:
        with open(options.save, "w", encoding="utf-8") as file:
            file.write("[\n" + ",\n".join(json.dumps(line) for line in lines) + "\n]\n")
        print(f"written to {options.save}")
    if wrong or not gap <= 1e-3 or list(labels.values()) != ["NEGATIVE", "POSITIVE"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
