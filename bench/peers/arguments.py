"""The arguments that every peer's script takes, checked."""

import argparse
import os

from bert_weights import SHAPES


def _positive(text):
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not positive")
    return number


def _cores(text):
    try:
        cores = [int(core) for core in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of core numbers such as 0,1")
    allowed = os.sched_getaffinity(0)
    missing = [core for core in cores if core not in allowed]
    if missing:
        raise argparse.ArgumentTypeError(f"cores {missing} are not available here; available are {sorted(allowed)}")
    return cores


def parse(description, parser_extension=None):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--shape", choices=sorted(SHAPES), default="bert-base")
    parser.add_argument("--layers", type=_positive, help="layers of the encoder (default: all of the shape)")
    parser.add_argument("--tokens", type=_positive, default=128)
    parser.add_argument("--repeats", type=_positive, default=3, help="measured runs; seconds are their median")
    parser.add_argument("--cores", type=_cores, default=sorted(os.sched_getaffinity(0)), help="cores to use, as 0,1")
    if parser_extension:
        parser_extension(parser)
    arguments = parser.parse_args()
    shape = SHAPES[arguments.shape]
    arguments.layers = arguments.layers or shape.layers
    if arguments.layers > shape.layers:
        parser.error(f"--layers {arguments.layers}: {arguments.shape} has {shape.layers}")
    return arguments
