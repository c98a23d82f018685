#!/usr/bin/env python3
"""Computes the logits of a student's folder in PyTorch: a second opinion on the Rust programs.

It shares no code with them, nor with transformers: the equations of BERT (Devlin et al., 2018) and of 2Quad attention
(Li et al., MPCFormer, 2022) are written down below once more, in 32-bit floating point, one text at a time, without padding.
It does not tokenise: it takes token numbers. runtime/tests/it/independent.rs holds `Float` and a private run against it.
(distill/scripts/check_transformers.py is the other check: it swaps the softmax inside Hugging Face's own BERT, to show that
the folder is one that transformers reads.)

The folder holds config.json and either model.safetensors or model.safetensors.index.json with its shards.
"""

import argparse
import json
import math
import sys
from pathlib import Path

try:
    import torch
    from safetensors.torch import load_file
    MISSING = None
except ImportError as error:
    MISSING = error

EXAMPLE = """example:
  echo '[{"ids": [101, 1037, 9882, 3185, 102], "segments": [0, 0, 0, 0, 0]}]' |
      python3 scripts/student_logits.py models/sst2-minilm-l4-2quad

standard input: a JSON list of texts, each with "ids" and "segments" (left out: all 0); other keys are ignored.
standard output: a JSON list with the logits of each text, in the order of the classes.
exit codes: 0 done, 1 the folder or the input is not what it should be, or torch is missing, 2 usage."""


class Bad(Exception):
    """Something that was given cannot be used."""


def read_json(path):
    """A JSON object from a file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Bad(error) from error
    except ValueError as error:
        raise Bad(f"{path}: {error}") from error
    if not isinstance(value, dict):
        raise Bad(f"{path}: expected a JSON object")
    return value


def read_weights(folder):
    """All tensors by name, without the `bert.` prefix, as 32-bit floats."""
    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").is_file():
        files = [folder / "model.safetensors"]
    elif index.is_file():
        files = [folder / name for name in sorted(set(read_json(index).get("weight_map", {}).values()))]
    else:
        raise Bad(f"{folder}: neither model.safetensors nor {index.name} is there")
    weights = {}
    for file in files:
        try:
            tensors = load_file(file)
        except Exception as error:
            raise Bad(f"{file}: {error}") from error
        for name, tensor in tensors.items():
            short = name.removeprefix("bert.")
            if short in weights:
                raise Bad(f"{file}: `{short}` is there twice")
            if tensor.dtype in (torch.float32, torch.float16, torch.bfloat16):
                weights[short] = tensor.float()
    return weights


def gelu_erf(x):
    """x times the normal distribution's probability of being below x."""
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def gelu_tanh(x):
    """The approximation of Hendrycks and Gimpel (2016) with a tanh."""
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


ACTIVATIONS = {"gelu": gelu_erf, "gelu_new": gelu_tanh, "gelu_pytorch_tanh": gelu_tanh}


class Student:
    def __init__(self, folder):
        self.config = config = read_json(folder / "config.json")
        self.weights = read_weights(folder)
        for key in ("hidden_size", "num_hidden_layers", "num_attention_heads"):
            if not isinstance(config.get(key), int) or config[key] < 1:
                raise Bad(f"config.json: `{key}` is {config.get(key)!r}, not a number of at least 1")
        self.layers, self.heads = config["num_hidden_layers"], config["num_attention_heads"]
        for key, usual in (("model_type", "bert"), ("position_embedding_type", "absolute")):
            if config.get(key, usual) != usual:
                raise Bad(f"config.json: `{key}` is {config[key]!r}; known: {usual!r}")
        if config["hidden_size"] % self.heads:
            raise Bad(f"config.json: {self.heads} heads do not divide hidden_size {config['hidden_size']}")
        if f"encoder.layer.{self.layers}.output.dense.weight" in self.weights:
            raise Bad(f"there are weights of more layers than the {self.layers} of config.json")
        activation = config.get("hidden_act", "gelu")
        if activation not in ACTIVATIONS:
            raise Bad(f"config.json: `hidden_act` is {activation!r}; known: {', '.join(ACTIVATIONS)}")
        self.activation = ACTIVATIONS[activation]
        kind = config.get("attention_softmax", "softmax")
        if kind not in ("softmax", "2quad"):
            raise Bad(f"config.json: `attention_softmax` is {kind!r}; known: '2quad', 'softmax' (or absent)")
        self.shifts = self.read_shifts() if kind == "2quad" else None

    def read_shifts(self):
        """c of 2Quad as [layer][head]: config.json has one number for all, or one for each head."""
        shift, shape = self.config.get("attention_shift", 5.0), (self.layers, self.heads)
        try:
            shifts = torch.full(shape, shift) if isinstance(shift, (int, float)) else torch.tensor(shift)
        except (TypeError, ValueError):
            shifts = torch.empty(0)
        if shifts.shape != shape:
            raise Bad(f"config.json: `attention_shift` should be one number, or {self.layers} rows of {self.heads}")
        return shifts.float()

    def tensor(self, name):
        if name not in self.weights:
            raise Bad(f"the weights lack `{name}`")
        return self.weights[name]

    def linear(self, name, x):
        """x W^T + b: PyTorch's convention, one row of W an output."""
        return x @ self.tensor(f"{name}.weight").T + self.tensor(f"{name}.bias")

    def layer_norm(self, name, x):
        """(x - mean) / sqrt(variance + eps) * gamma + beta, over each row."""
        mean = x.mean(-1, keepdim=True)
        variance = ((x - mean) ** 2).mean(-1, keepdim=True)
        normal = (x - mean) / torch.sqrt(variance + self.config.get("layer_norm_eps", 1e-12))
        return normal * self.tensor(f"{name}.weight") + self.tensor(f"{name}.bias")

    def attention_weights(self, layer, scores):
        """How much each token (row) takes from each other (column), for each head: rows add up to one."""
        if self.shifts is None:
            powers = torch.exp(scores - scores.amax(-1, keepdim=True))
        else:
            powers = (scores + self.shifts[layer].reshape(self.heads, 1, 1)) ** 2
        return powers / powers.sum(-1, keepdim=True)

    def attention(self, layer, x):
        """softmax(Q K^T / sqrt(head size)) V with 2Quad for softmax, by heads, which are put side by side again."""
        name = f"encoder.layer.{layer}.attention.self"
        tokens, width = x.shape
        size = width // self.heads

        def by_heads(part):
            return self.linear(f"{name}.{part}", x).reshape(tokens, self.heads, size).transpose(0, 1)

        query, key, value = by_heads("query"), by_heads("key"), by_heads("value")
        scores = query @ key.transpose(1, 2) / math.sqrt(size)
        mixed = self.attention_weights(layer, scores) @ value
        return mixed.transpose(0, 1).reshape(tokens, width)

    def encode(self, layer, x):
        """One layer: attention and feed-forward, each added to its input and normalised."""
        name = f"encoder.layer.{layer}"
        attended = self.linear(f"{name}.attention.output.dense", self.attention(layer, x))
        x = self.layer_norm(f"{name}.attention.output.LayerNorm", x + attended)
        inner = self.activation(self.linear(f"{name}.intermediate.dense", x))
        return self.layer_norm(f"{name}.output.LayerNorm", x + self.linear(f"{name}.output.dense", inner))

    def logits(self, ids, segments):
        words = self.tensor("embeddings.word_embeddings.weight")[ids]
        positions = self.tensor("embeddings.position_embeddings.weight")[: len(ids)]
        kinds = self.tensor("embeddings.token_type_embeddings.weight")[segments]
        x = self.layer_norm("embeddings.LayerNorm", words + positions + kinds)
        for layer in range(self.layers):
            x = self.encode(layer, x)
        pooled = torch.tanh(self.linear("pooler.dense", x[0]))
        return self.linear("classifier", pooled)

    def check(self, number, text):
        """Token and segment numbers of a text, if they are some."""
        if not isinstance(text, dict):
            raise Bad(f'text {number}: expected {{"ids": [...], "segments": [...]}}')
        ids = text.get("ids")
        segments = text.get("segments", [0] * len(ids) if isinstance(ids, list) else [])
        tables = {
            "ids": (ids, self.tensor("embeddings.word_embeddings.weight")),
            "segments": (segments, self.tensor("embeddings.token_type_embeddings.weight")),
        }
        for key, (numbers, table) in tables.items():
            if not isinstance(numbers, list) or not all(type(n) is int and 0 <= n < len(table) for n in numbers):
                raise Bad(f"text {number}: `{key}` should be a list of numbers from 0 to {len(table) - 1}")
        most = len(self.tensor("embeddings.position_embeddings.weight"))
        if len(segments) != len(ids) or not 1 <= len(ids) <= most:
            raise Bad(f"text {number}: {len(ids)} ids and {len(segments)} segments; expected as many, 1 to {most}")
        return ids, segments


def main():
    arguments = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("folder", type=Path, metavar="FOLDER", help="the student's folder")
    folder = arguments.parse_args().folder
    if MISSING:
        sys.exit(f"error: {MISSING}; pip install torch safetensors")
    try:
        student = Student(folder)
        try:
            texts = json.load(sys.stdin)
        except ValueError as error:
            raise Bad(f"standard input: {error}") from error
        if not isinstance(texts, list):
            raise Bad("standard input: expected a JSON list of texts")
        with torch.no_grad():
            logits = [student.logits(*student.check(number, text)).tolist() for number, text in enumerate(texts, 1)]
    except Bad as error:
        sys.exit(f"error: {error}")
    except RuntimeError as error:
        sys.exit(f"error: {folder}: the shapes of the weights do not fit together or config.json: {error}")
    print(json.dumps(logits))


if __name__ == "__main__":
    main()
