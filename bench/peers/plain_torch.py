"""The plain yardstick: the same encoder by PyTorch in float32, one thread on one core. Prints JSON."""

import json
import math
import os
import resource
import statistics
import sys
import time

import torch
import torch.nn.functional as F

import arguments
import float_reference
from bert_weights import SHAPES, encoder_input, layer_weights


def attend(query, key, value, attention):
    if attention == "softmax":
        return F.scaled_dot_product_attention(query, key, value)
    squares = (query @ key.transpose(1, 2) / math.sqrt(query.shape[-1]) + float_reference.QUAD_SHIFT) ** 2
    return squares / squares.sum(dim=-1, keepdim=True) @ value


def layer(x, weights, shape, attention):
    def heads(name):
        rows = torch.addmm(weights[name + "_bias"], x, weights[name])
        return rows.view(len(x), shape.heads, shape.head).transpose(0, 1)

    def norm(name, rows):
        return F.layer_norm(rows, (shape.hidden,), weights[name + "_gain"], weights[name + "_bias"], 1e-12)

    context = attend(heads("query"), heads("key"), heads("value"), attention)
    context = context.transpose(0, 1).reshape(len(x), shape.hidden)
    x = norm("attention_norm", x + torch.addmm(weights["attention_output_bias"], context, weights["attention_output"]))
    inner = F.gelu(torch.addmm(weights["up_bias"], x, weights["up"]))
    return norm("output_norm", x + torch.addmm(weights["down_bias"], inner, weights["down"]))


def attention_argument(parser):
    parser.add_argument("--attention", choices=sorted(float_reference.ATTENTIONS), default="softmax")


def main():
    asked = arguments.parse(__doc__, attention_argument)
    shape = SHAPES[asked.shape]
    os.sched_setaffinity(0, asked.cores[:1])
    torch.set_num_threads(1)
    model = [
        {name: torch.from_numpy(value) for name, value in layer_weights(shape, number).items()}
        for number in range(asked.layers)
    ]
    first = torch.from_numpy(encoder_input(shape, asked.tokens))
    seconds = []
    with torch.inference_mode():
        for _ in range(asked.repeats + 1):
            start = time.perf_counter()
            x = first
            for weights in model:
                x = layer(x, weights, shape, asked.attention)
            seconds.append(time.perf_counter() - start)
    expected = float_reference.encoder(shape, asked.layers, asked.tokens, asked.attention)
    report = {
        "system": "PyTorch float32, nothing private",
        "version": f"torch {torch.__version__}, python {sys.version.split()[0]}",
        "functions": f"{asked.attention}, GeLU, LayerNorm",
        "shape": asked.shape,
        "layers": asked.layers,
        "tokens": asked.tokens,
        "repeats": asked.repeats,
        "placement": f"one process, one thread, core {asked.cores[0]}",
        "online_seconds": statistics.median(seconds[1:]),  # the first run warms up
        "total_seconds": statistics.median(seconds[1:]),
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "largest_difference": float(abs(x.numpy() - expected).max()),
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
