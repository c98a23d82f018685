"""BERT's encoder in float64 with NumPy: what a private run of the same functions is compared with."""

import math

import numpy as np

from bert_weights import encoder_input, layer_weights

LAYER_NORM_EPSILON = 1e-12
QUAD_SHIFT = 5.0

_erf = np.vectorize(math.erf, otypes=[np.float64])


def softmax(scores):
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def two_quad(scores):
    """2Quad, the stand-in for softmax of MPCFormer and SecFormer: (x + 5)^2 / sum (x + 5)^2."""
    squares = (scores + QUAD_SHIFT) ** 2
    return squares / squares.sum(axis=-1, keepdims=True)


ATTENTIONS = {"softmax": softmax, "2quad": two_quad}


def exact_gelu(x):
    return x * 0.5 * (1.0 + _erf(x / math.sqrt(2.0)))


def _layer_norm(x, gain, bias):
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred**2).mean(axis=-1, keepdims=True)
    return centred / np.sqrt(variance + LAYER_NORM_EPSILON) * gain + bias


def _layer(x, weights, shape, attention, gelu):
    def heads(name):
        rows = x @ weights[name] + weights[name + "_bias"]
        return rows.reshape(len(x), shape.heads, shape.head).transpose(1, 0, 2)

    scores = heads("query") @ heads("key").transpose(0, 2, 1) / math.sqrt(shape.head)
    context = attention(scores) @ heads("value")
    context = context.transpose(1, 0, 2).reshape(len(x), shape.hidden)
    attended = context @ weights["attention_output"] + weights["attention_output_bias"]
    x = _layer_norm(x + attended, weights["attention_norm_gain"], weights["attention_norm_bias"])
    inner = gelu(x @ weights["up"] + weights["up_bias"])
    inner = inner @ weights["down"] + weights["down_bias"]
    return _layer_norm(x + inner, weights["output_norm_gain"], weights["output_norm_bias"])


def encoder(shape, layers, tokens, attention, gelu=exact_gelu):
    """The last layer's hidden states, [tokens, hidden]; `attention` names one of ATTENTIONS."""
    x = encoder_input(shape, tokens).astype(np.float64)
    for layer in range(layers):
        weights = {name: value.astype(np.float64) for name, value in layer_weights(shape, layer).items()}
        x = _layer(x, weights, shape, ATTENTIONS[attention], gelu)
    return x
