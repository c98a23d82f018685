#!/usr/bin/env python3
"""Times a training step of distill against the same step in PyTorch, in turns on the same cores.

    pip install torch safetensors
    python distill/scripts/step_time.py [--threads N] [--save results/step-time.json]

A step is forward, backward, clipping and AdamW for a 2Quad student of 6 layers x 384 with 12 heads (MiniLM-L6's shape,
random weights), dropout 0.1, 32 texts as long as SST-2's, as MRPC's, or all of 32 tokens; distill takes them ragged, PyTorch
padded to the longest.
Before the clock runs, one step without dropout shows that both compute the same loss and gradient norm.
The figures are medians, as JSON on standard output.

Exit codes: 0 at most --bar times PyTorch's time, 1 more or not the same step, 3 torch or safetensors is missing.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

try:
    import torch
    from safetensors.torch import save_file
    from torch import nn
    from torch.nn import functional as F
except ImportError as error:
    print(f"not measured: {error}; pip install torch safetensors", file=sys.stderr)
    sys.exit(3)

ROOT = Path(__file__).resolve().parents[2]
CONFIG = {
    "model_type": "bert", "vocab_size": 30522, "hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12,
    "intermediate_size": 1536, "hidden_act": "gelu", "max_position_embeddings": 512, "type_vocab_size": 2,
    "layer_norm_eps": 1e-12, "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "attention_softmax": "2quad",
    "attention_shift": 5.0, "id2label": {"0": "NEGATIVE", "1": "POSITIVE"}, "label2id": {"NEGATIVE": 0, "POSITIVE": 1},
}  # fmt: skip
# Tokens of 32 texts: evenly spaced quantiles of the training sets' lengths; and texts that leave nothing to pad.
LENGTHS = {
    "SST-2": [
        3, 4, 4, 5, 5, 5, 6, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 12, 13, 14, 15, 16, 17, 19, 20, 22, 24, 26, 29, 34, 42,
    ],
    "MRPC": [
        28, 32, 35, 37, 38, 40, 41, 43, 44, 45, 46, 48, 49, 50, 52, 53, 54, 55, 56, 58, 59, 60, 61, 62, 63, 64, 66, 68,
        69, 72, 75, 81,
    ],
    "equal lengths": [32] * 32,
}  # fmt: skip
RATE, DECAY, RANGE_PENALTY = 1e-5, 0.01, 0.1


class Attention(nn.Module):
    """Self-attention as transformers' eager BERT has it, with 2Quad in place of softmax."""

    def __init__(self, width, heads, dropout, shift):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.heads, self.shift, self.dropout = heads, shift, nn.Dropout(dropout)

    def forward(self, x, mask):
        batch, length, width = x.shape
        q, k, v = (
            part(x).view(batch, length, self.heads, -1).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        scores = q @ k.transpose(-1, -2) / (width // self.heads) ** 0.5
        square = (scores + self.shift).square() * mask
        weights = self.dropout(square / square.sum(-1, keepdim=True))
        return (weights @ v).transpose(1, 2).reshape(batch, length, width)


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, inner, eps = config["hidden_size"], config["intermediate_size"], config["layer_norm_eps"]
        dropout = config["hidden_dropout_prob"]
        heads, shift = config["num_attention_heads"], config["attention_shift"]
        self.attention = Attention(width, heads, config["attention_probs_dropout_prob"], shift)
        self.output, self.attention_norm = nn.Linear(width, width), nn.LayerNorm(width, eps)
        self.up, self.down, self.norm = nn.Linear(width, inner), nn.Linear(inner, width), nn.LayerNorm(width, eps)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, mask):
        x = self.attention_norm(self.dropout(self.output(self.attention(x, mask))) + x)
        return self.norm(self.dropout(self.down(F.gelu(self.up(x)))) + x)


class Bert(nn.Module):
    """A classifier with the arithmetic of transformers' BertForSequenceClassification."""

    def __init__(self, config):
        super().__init__()
        width = config["hidden_size"]
        self.words = nn.Embedding(config["vocab_size"], width)
        self.positions = nn.Embedding(config["max_position_embeddings"], width)
        self.segments = nn.Embedding(config["type_vocab_size"], width)
        self.norm, self.dropout = nn.LayerNorm(width, config["layer_norm_eps"]), nn.Dropout(config["hidden_dropout_prob"])
        self.layers = nn.ModuleList(Layer(config) for _ in range(config["num_hidden_layers"]))
        self.pooler, self.classifier = nn.Linear(width, width), nn.Linear(width, len(config["id2label"]))

    def forward(self, ids, mask):
        places = torch.arange(ids.shape[1])
        x = self.words(ids) + self.positions(places) + self.segments(torch.zeros_like(ids))
        x, mask = self.dropout(self.norm(x)), mask[:, None, None, :]
        for layer in self.layers:
            x = layer(x, mask)
        return self.classifier(self.dropout(torch.tanh(self.pooler(x[:, 0]))))

    def named_as_hugging_face_does(self):
        names = {
            "words": "bert.embeddings.word_embeddings", "positions": "bert.embeddings.position_embeddings",
            "segments": "bert.embeddings.token_type_embeddings", "norm": "bert.embeddings.LayerNorm",
            "pooler": "bert.pooler.dense", "classifier": "classifier",
        }  # fmt: skip
        for layer in range(len(self.layers)):
            here, there = f"layers.{layer}", f"bert.encoder.layer.{layer}"
            for part in ("query", "key", "value"):
                names[f"{here}.attention.{part}"] = f"{there}.attention.self.{part}"
            names |= {
                f"{here}.output": f"{there}.attention.output.dense", f"{here}.up": f"{there}.intermediate.dense",
                f"{here}.attention_norm": f"{there}.attention.output.LayerNorm", f"{here}.down": f"{there}.output.dense",
                f"{here}.norm": f"{there}.output.LayerNorm",
            }  # fmt: skip
        tensors = {}
        for name, tensor in self.named_parameters():
            module, kind = name.rsplit(".", 1)
            tensors[f"{names[module]}.{kind}"] = tensor.detach()
        return tensors


class PyTorch:
    """A model, its optimiser and the batch of one case."""

    def __init__(self, model, **kind):
        self.model = model
        plain = [p for name, p in model.named_parameters() if name.endswith("bias") or "norm" in name]
        others = [p for name, p in model.named_parameters() if not (name.endswith("bias") or "norm" in name)]
        groups = [{"params": others, "weight_decay": DECAY}, {"params": plain, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=RATE, **kind)

    def step(self, texts, teacher, dropout):
        longest = max(map(len, texts))
        ids = torch.tensor([text + [0] * (longest - len(text)) for text in texts])
        mask = torch.tensor([[1.0] * len(text) + [0.0] * (longest - len(text)) for text in texts])
        self.model.train(dropout)
        loss = F.cross_entropy(self.model(ids, mask), teacher.softmax(-1))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        return loss.item(), norm.item()

    def steps(self, count, texts, teacher, dropout=True):
        seconds, losses, norms = [], [], []
        for _ in range(count):
            start = time.perf_counter()
            loss, norm = self.step(texts, teacher, dropout)
            seconds.append(time.perf_counter() - start)
            losses.append(loss)
            norms.append(norm)
        return {"seconds": seconds, "losses": losses, "norms": norms}


class Distill:
    """distill's own step, in a process that waits for its turn."""

    def __init__(self, program, folder, threads):
        self.process = subprocess.Popen(
            [program, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"RAYON_NUM_THREADS": str(threads)},
        )  # fmt: skip

    def steps(self, count, texts, teacher, dropout=True, penalty=0.0):
        turn = {"steps": count, "texts": texts, "teacher": teacher.tolist(), "dropout": dropout}
        print(json.dumps(turn | {"range_penalty": penalty, "rate": RATE}), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.process.args[0]} ended with {self.process.wait()}")
        return json.loads(line)


def built():
    """Builds the program for this processor and says where it is."""
    command = "cargo build --release -p distill --bench step --message-format json".split()
    flags = {"RUSTFLAGS": os.environ.get("RUSTFLAGS", "-C target-cpu=native")}
    lines = subprocess.run(command, cwd=ROOT, env=os.environ | flags, stdout=subprocess.PIPE, text=True, check=True)
    found = [json.loads(line) for line in lines.stdout.splitlines()]
    return next(item["executable"] for item in found if item.get("executable") and item["target"]["name"] == "step")


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return {"name": platform.processor() or platform.machine()}
    said = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    vectors = [flag for flag in ("avx2", "fma", "avx512f") if flag in said.get("flags", "").split()]
    places = ("vendor_id", "cpu family", "model", "model name")
    return {place.replace(" ", "_"): said.get(place) for place in places} | {"vectors": vectors}


def faster_optimiser(texts, teacher):
    """Whether AdamW is faster fused or for each tensor at once."""
    times = {}
    for kind in ("fused", "foreach"):
        times[kind] = min(PyTorch(Bert(CONFIG), **{kind: True}).steps(4, texts, teacher)["seconds"])
    return min(times, key=times.get)


def draw(lengths, generator):
    texts = [torch.randint(1000, CONFIG["vocab_size"], (n,), generator=generator).tolist() for n in lengths]
    return texts, torch.randn(len(lengths), 2, generator=generator)


def same(ours, theirs):
    """Whether two steps had the same loss and gradient."""
    near = lambda a, b: abs(a - b) <= 1e-3 * abs(b)  # noqa: E731
    return near(ours["losses"][0], theirs["losses"][0]) and near(ours["norms"][0], theirs["norms"][0])


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    arguments.add_argument("--rounds", type=int, default=10, help="turns of each (10)")
    arguments.add_argument("--steps", type=int, default=5, help="timed steps of a turn, after one that is not (5)")
    arguments.add_argument("--bar", type=float, default=1.5, help="the largest ratio that is well (1.5)")
    arguments.add_argument("--program", help="the built bench `step`; without it, it is built")
    arguments.add_argument("--save", metavar="FILE", help="where the figures go as well")
    options = arguments.parse_args()

    program = options.program or built()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = Bert(CONFIG)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        elif "norm" not in name:
            nn.init.normal_(parameter, std=0.02)
    load, generator = os.getloadavg()[0], torch.Generator().manual_seed(1)
    batches = {name: draw(lengths, generator) for name, lengths in LENGTHS.items()}
    kind = faster_optimiser(*batches["SST-2"])
    cases, well = {}, True
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
        save_file(model.named_as_hugging_face_does(), Path(folder, "model.safetensors"))
        ours, theirs = Distill(program, folder, options.threads), PyTorch(model, **{kind: True})
        for name, (texts, teacher) in batches.items():
            # After the first case both have trained, with other masks: their weights are no longer the same.
            pair = [] if cases else [side.steps(1, texts, teacher, dropout=False) for side in (ours, theirs)]
            agree = not pair or same(*pair)
            times = {"distill": [], "distill_with_range_penalty": [], "pytorch": []}
            for number in range(options.rounds):
                turns = {
                    "distill": lambda: ours.steps(1 + options.steps, texts, teacher),
                    "distill_with_range_penalty": lambda: ours.steps(
                        1 + options.steps, texts, teacher, penalty=RANGE_PENALTY
                    ),
                    "pytorch": lambda: theirs.steps(1 + options.steps, texts, teacher),
                }
                for who, turn in turns.items():
                    times[who].append(turn()["seconds"][1:])
                print(f"{name}: round {number + 1} of {options.rounds}", file=sys.stderr)
            medians = {who: statistics.median(sum(turns, [])) for who, turns in times.items()}
            ratio = medians["distill"] / medians["pytorch"]
            rounds = [statistics.median(a) / statistics.median(b) for a, b in zip(times["distill"], times["pytorch"])]
            cases[name] = {
                "texts": len(texts),
                "tokens": sum(map(len, texts)),
                "tokens_padded": len(texts) * max(map(len, texts)),
                "seconds": {who: round(median, 4) for who, median in medians.items()},
                "least_seconds": {who: round(min(sum(turns, [])), 4) for who, turns in times.items()},
                "ratio": round(ratio, 3),
                "ratio_of_each_round": [round(each, 3) for each in rounds],
            }
            if pair:
                cases[name]["first_step_without_dropout"] = {
                    who: {"loss": one["losses"][0], "gradient_norm": one["norms"][0]}
                    for who, one in zip(("distill", "pytorch"), pair)
                }
            well &= agree and ratio <= options.bar
    answer = {
        "step": "forward, backward, clipping, AdamW; 2Quad student of 6 layers x 384, 12 heads; dropout 0.1",
        "program": options.program or "release, for this processor",
        "processor": processor(),
        "threads": options.threads,
        "load_before": round(load, 2),
        "torch": torch.__version__,
        "optimiser_of_pytorch": f"AdamW({kind}=True)",
        "bar": options.bar,
        "cases": cases,
    }
    text = json.dumps(answer, indent=2)
    print(text)
    if options.save:
        Path(options.save).write_text(text + "\n", encoding="utf-8")
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
