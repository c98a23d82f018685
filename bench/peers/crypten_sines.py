"""SecFormer's sine (its Algorithm 4) on CrypTen: the third process deals a masked angle and its sines and cosines.

CrypTen has no such tuple, so this adds one function to its TTPServer by a subclass; nothing of CrypTen is changed.
The period is a power of two, which divides 2^64: shares of an angle may be reduced modulo it before they are opened.
"""

import math

import crypten.communicator as comm
import torch
from crypten.common.rng import generate_random_ring_element
from crypten.mpc.provider.ttp_provider import TTPClient, TTPServer

FRACTION_BITS = 16
PERIOD = 16  # of the angle as a fixed-point number
PERIOD_MASK = (PERIOD << FRACTION_BITS) - 1
HARMONICS = 7


def _waves(angle):
    """sin(2 pi k angle / PERIOD) for k = 1 .. HARMONICS, then the cosines; `angle` is an integer of the ring."""
    turns = (angle & PERIOD_MASK).double() * (2 * math.pi / (PERIOD_MASK + 1))
    turns = torch.stack([turns * k for k in range(1, HARMONICS + 1)])
    return torch.cat([turns.sin(), turns.cos()])


class SineServer(TTPServer):
    def sines(self, size):
        angle = self._get_additive_PRSS(size)
        waves = (_waves(angle) * 2**FRACTION_BITS).round().long()
        return waves - self._get_additive_PRSS(waves.size(), remove_rank=True)


class SineTuples:
    """A party's store of dealt (angle, waves) shares: filled ahead, or asked for when it is empty."""

    def __init__(self):
        self._ahead = []

    def deal(self, size):
        generator = TTPClient.get().get_generator()
        angle = generate_random_ring_element(size, generator=generator)
        if comm.get().get_rank() == 0:
            waves = TTPClient.get().ttp_request("sines", None, size)
        else:
            waves = generate_random_ring_element(torch.Size([2 * HARMONICS, *size]), generator=generator)
        return angle, waves

    def fill(self, size):
        self._ahead.append(self.deal(size))

    def take(self, size):
        return self._ahead.pop() if self._ahead else self.deal(size)


def sine_series(angle_share, coefficients, tuples):
    """Share of sum_k coefficients[k - 1] sin(2 pi k angle / PERIOD), with twice the fraction bits; one opening."""
    mask, waves = tuples.take(angle_share.size())
    opened = comm.get().all_reduce((angle_share - mask) & PERIOD_MASK)
    public = _waves(opened)
    result = torch.zeros_like(angle_share)
    for index, coefficient in enumerate(coefficients):
        sine = (public[index] * coefficient * 2**FRACTION_BITS).round().long()
        cosine = (public[HARMONICS + index] * coefficient * 2**FRACTION_BITS).round().long()
        # sin(a + b) = sin a cos b + cos a sin b, a opened and b dealt
        result += sine * waves[HARMONICS + index] + cosine * waves[index]
    return result
