"""SecFormer's GeLU, 2Quad attention and LayerNorm (its Algorithms 1 to 3) on CrypTen's shared tensors."""

import math

import crypten
import numpy as np
from crypten.mpc import MPCTensor

from crypten_sines import FRACTION_BITS, PERIOD, sine_series

ERF_SINES = (1.25772, -0.0299154, 0.382155, -0.0519123, 0.196033, -0.0624557, 0.118029)
ERF_EDGE = 1.7  # beyond it erf is taken for -1 or +1
ERF_PERIOD = 20.0
QUAD_SHIFT = 5
QUAD_BOUND = 50  # Goldschmidt's division needs a mean of (x + 5)^2 below twice this
DIVISION_STEPS = 13
SQUARES_BOUND = 2000  # Goldschmidt's root needs a sum of squares below about 2.9 times this
ROOT_STEPS = 11


def gelu(x, tuples):
    """x/2 (1 + erf(x/sqrt 2)), erf by seven sines between two edges, both edges compared at once."""
    scale = PERIOD / ERF_PERIOD
    angle = x * (scale / math.sqrt(2.0))
    edge = ERF_EDGE * scale
    below = crypten.stack([angle + edge, angle - edge])._ltz()
    below_left, below_right = below[0], below[1]
    inside = MPCTensor.from_shares(sine_series(angle.share, ERF_SINES, tuples))
    inside = inside.div(2**FRACTION_BITS)
    erf = inside * (below_right - below_left) + 1 - below_left - below_right
    return (x * (erf + 1)).div(2)


def gelu_in_float(x):
    """What `gelu` computes, on a NumPy array without error."""
    u = x / math.sqrt(2.0)
    series = sum(beta * np.sin(2 * math.pi * k * u / ERF_PERIOD) for k, beta in enumerate(ERF_SINES, start=1))
    return x / 2 * (1 + np.where(u < -ERF_EDGE, -1.0, np.where(u < ERF_EDGE, series, 1.0)))


def two_quad_times(scores, values):
    """2Quad(scores) @ values. The division by (50 tokens) is split, so that shares keep their precision."""
    tokens = scores.size(-1)
    squares = (scores + QUAD_SHIFT).square().div(QUAD_BOUND)
    share_of_bound = squares.sum(-1, keepdim=True).div(tokens)
    inverse = _goldschmidt_inverse(share_of_bound)
    return (squares * inverse).matmul(values).div(tokens)


def _goldschmidt_inverse(q):
    pair = crypten.stack([q * 0 + 1, q])  # p, q: q becomes 1 and p the inverse
    for _ in range(DIVISION_STEPS):
        pair = pair * (2 - pair[1])
    return pair[0]


def _goldschmidt_inverse_root(q):
    pair = crypten.stack([q * 0 + 1, q])
    for _ in range(ROOT_STEPS):
        factor = (3 - pair[1]).div(2)
        pair = pair * factor
        pair = crypten.stack([pair[0], pair[1] * factor])
    return pair[0]


def norm_gain(gain):
    """The gain with the public part of the division folded in, as `layer_norm` expects it."""
    return gain * math.sqrt(len(gain) / SQUARES_BOUND)


def layer_norm(x, folded_gain, bias):
    centred = x - x.sum(-1, keepdim=True).div(x.size(-1))
    squares = centred.square().sum(-1, keepdim=True).div(SQUARES_BOUND)
    return centred * _goldschmidt_inverse_root(squares) * folded_gain + bias
