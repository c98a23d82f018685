#!/usr/bin/env python3
"""Finds the constants of `model::secformer::REFITTED`: SecFormer's GeLU with another breakpoint and another period.

erf(u) is written as sum_{k=1..7} c_k sin(2 pi k u / period) where |u| < breakpoint, and as -1 or 1 beyond. GeLU(x) is
x/2 (1 + erf(x / sqrt 2)), so an error of erf counts |x|/2 = |u|/sqrt 2 times. For a given period and breakpoint the
best coefficients solve a linear program: the largest error over a grid, sum |c_k| bounded so that rounded sines cost
little. A later breakpoint leaves less beyond it, u/sqrt 2 erfc(u), but more for the sines to describe: for each
period, bisection finds the breakpoint at which both errors are equal, and the period is scanned. Breakpoint, period
and coefficients are then rounded to 16 fractional bits, as the private run has them; units are moved between
coefficients while that helps.

Needs numpy and scipy:  python3 scripts/refit_gelu.py
"""

import argparse
from itertools import combinations, product

import numpy as np
from scipy.optimize import linprog
from scipy.special import erf, erfc

UNIT = 2.0 ** -16
HARMONICS = np.arange(1, 8)
EXAMPLE = "exit codes: 0 done, 2 usage."


def fit(period, breakpoint, most, points=300):
    """Coefficients of least largest GeLU error below the breakpoint, and that error; sum |c_k| is at most `most`."""
    # nodes crowd at both ends, where an error of least maximum has its extremes
    u = breakpoint * (1 - np.cos(np.pi * np.arange(1, points + 1) / points)) / 2
    sines = np.sin(2 * np.pi * np.outer(u, HARMONICS) / period) * (u / np.sqrt(2))[:, None]
    target = erf(u) * u / np.sqrt(2)
    # unknowns: positive parts, negative parts, largest error
    rows = np.hstack([sines, -sines])
    bound = np.ones((points, 1))
    above = np.vstack([np.hstack([rows, -bound]), np.hstack([-rows, -bound]), np.append(np.ones(14), 0.0)[None]])
    limit = np.concatenate([target, -target, [most]])
    solved = linprog(np.append(np.zeros(14), 1.0), A_ub=above, b_ub=limit, bounds=[(0, None)] * 15, method="highs")
    return solved.x[:7] - solved.x[7:14], solved.x[14]


def beyond(breakpoint):
    """The largest GeLU error where one stands for erf: u erfc(u) falls from here on."""
    return breakpoint / np.sqrt(2) * erfc(breakpoint)


def balanced(period, most):
    """The breakpoint at which both errors are equal: as error, breakpoint."""
    low, high = 2.0, min(period / 2, 4.5)
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if fit(period, middle, most)[1] < beyond(middle) else (low, middle)
    return beyond(low), low


def integers(coefficients, period, breakpoint, points=4000):
    """Coefficients as units of 2^-16: rounded, then moved by one unit, up to three at a time, while the error falls."""
    u = np.linspace(0, breakpoint, points)
    sines = np.sin(2 * np.pi * np.outer(u, HARMONICS) / period) * (u / np.sqrt(2))[:, None]
    units = np.round(coefficients / UNIT)
    unit_moves = [sign * row for row in np.eye(7) for sign in (1, -1)]
    moves = unit_moves + [a + b for a, b in combinations(unit_moves, 2) if (a + b).any()]
    moves += [a + b for a, b in product(moves, unit_moves)]
    shifted = (np.array(moves) * UNIT) @ sines.T
    error = sines @ (units * UNIT) - erf(u) * u / np.sqrt(2)
    while True:
        worst = np.abs(error + shifted).max(axis=1)
        best = worst.argmin()
        if worst[best] >= np.abs(error).max():
            return units
        units, error = units + moves[best], error + shifted[best]


def largest(coefficients, period, breakpoint, reach=10.0, points=400_001):
    """The largest GeLU error over [-reach, reach]; it is even."""
    x = np.linspace(0, reach, points)
    u = x / np.sqrt(2)
    series = np.sin(2 * np.pi * np.outer(u, HARMONICS) / period) @ coefficients
    return np.max(x / 2 * np.abs(np.where(u < breakpoint, series, 1.0) - erf(u)))


def main():
    usage = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawTextHelpFormatter)
    usage.add_argument("--most", type=float, default=3.0, help="bound of sum |c_k| (default 3)")
    usage.add_argument("--periods", type=float, nargs="+", help="periods to try (default: 7 to 16, then finer)")
    given = usage.parse_args()

    coarse = given.periods or np.arange(7, 16.01, 0.25)
    tried = {float(period): balanced(period, given.most) for period in coarse}
    if not given.periods:
        best = min(tried, key=tried.get)
        tried |= {float(period): balanced(period, given.most) for period in best + np.arange(-0.25, 0.26, 0.03125)}
    for period, (error, breakpoint) in sorted(tried.items()):
        print(f"period {period:8.5f}: breakpoint {breakpoint:.5f}, error {error:.2e}")

    period = round(min(tried, key=tried.get) / UNIT) * UNIT
    breakpoint = round(tried[period][1] / UNIT) * UNIT
    units = integers(fit(period, breakpoint, given.most, points=2000)[0], period, breakpoint)
    print(f"\nperiod {period!r}, breakpoint {breakpoint!r}, coefficients in units of 2^-16 and as numbers:")
    for unit in units:
        print(f"  {int(unit):7d}  {float(unit * UNIT)!r}")
    print(f"largest error of GeLU over [-10, 10]: {largest(units * UNIT, period, breakpoint):.3e}")
    print(f"sum of absolute coefficients: {np.abs(units).sum() * UNIT:.3f}")


if __name__ == "__main__":
    main()
