"""Random weights of BERT's encoder and a random input, the same for every peer: NumPy only, one seed."""

from dataclasses import dataclass

import numpy as np

SEED = 20240601


@dataclass(frozen=True)
class Shape:
    hidden: int
    heads: int
    intermediate: int
    layers: int

    @property
    def head(self):
        return self.hidden // self.heads


# by the names that `runtime bench model --model` gives them
SHAPES = {
    "bert-base": Shape(hidden=768, heads=12, intermediate=3072, layers=12),
    "bert-large": Shape(hidden=1024, heads=16, intermediate=4096, layers=24),
    "minilm-l6": Shape(hidden=384, heads=12, intermediate=1536, layers=6),
    "tiny": Shape(hidden=64, heads=4, intermediate=256, layers=2),
}


def layer_weights(shape, layer):
    """One layer's weights by name. Matrices are [inputs, outputs]; scales are those of a freshly made BERT."""
    random = np.random.default_rng([SEED, layer])

    def matrix(rows, columns):
        return random.normal(0.0, 0.02, (rows, columns)).astype(np.float32)

    def vector(width, centre):
        return (centre + random.normal(0.0, 0.02, width)).astype(np.float32)

    weights = {}
    for name in ("query", "key", "value", "attention_output"):
        weights[name] = matrix(shape.hidden, shape.hidden)
        weights[name + "_bias"] = vector(shape.hidden, 0.0)
    weights["up"] = matrix(shape.hidden, shape.intermediate)
    weights["up_bias"] = vector(shape.intermediate, 0.0)
    weights["down"] = matrix(shape.intermediate, shape.hidden)
    weights["down_bias"] = vector(shape.hidden, 0.0)
    for name in ("attention_norm", "output_norm"):
        weights[name + "_gain"] = vector(shape.hidden, 1.0)
        weights[name + "_bias"] = vector(shape.hidden, 0.0)
    return weights


def encoder_input(shape, tokens):
    """What the embedding's LayerNorm would hand to the first layer: rows of mean 0 and variance 1."""
    rows = np.random.default_rng([SEED, 1_000_000]).normal(0.0, 1.0, (tokens, shape.hidden))
    rows = (rows - rows.mean(axis=1, keepdims=True)) / rows.std(axis=1, keepdims=True)
    return rows.astype(np.float32)
