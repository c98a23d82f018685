"""SecFormer's functions on CrypTen: two parties and CrypTen's trusted third process, all over loopback. Prints JSON.

CrypTen makes its triples when they are asked for. Its own trace and fill_cache let them be made ahead: each layer is
measured as a fill (offline) and a forward pass that finds everything in the cache (online).
"""

import json
import multiprocessing
import os
import queue
import resource
import signal
import statistics
import sys
import tempfile
import time

import arguments
import float_reference
from bert_weights import SHAPES, encoder_input, layer_weights

PARTIES = 2


def join_group(rank, rendezvous, core):
    """Settings of one process, before CrypTen is imported."""
    os.sched_setaffinity(0, [core])
    os.environ.update(
        WORLD_SIZE=str(PARTIES),
        RANK=str(rank),
        RENDEZVOUS=f"file://{rendezvous}",
        DISTRIBUTED_BACKEND="gloo",
        GLOO_SOCKET_IFNAME="lo",
        OMP_NUM_THREADS="1",
    )
    import crypten
    import torch

    torch.set_num_threads(1)
    crypten.cfg.mpc.provider = "TTP"
    crypten.cfg.communicator.verbose = True  # counts bytes and rounds


def third_process(rendezvous, core, reports):
    join_group(PARTIES, rendezvous, core)
    from crypten_sines import SineServer

    SineServer()
    reports.put(("third", {"peak_rss_bytes": peak_rss_bytes()}))


def peak_rss_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def share_layer(weights):
    """One layer's weights, shared by party 0; query, key and value side by side."""
    import crypten
    import numpy as np
    import torch

    from crypten_functions import norm_gain

    parts = ("query", "key", "value")
    plain = {
        "qkv": np.concatenate([weights[part] for part in parts], axis=1),
        "qkv_bias": np.concatenate([weights[part + "_bias"] for part in parts]),
    }
    plain.update((name, value) for name, value in weights.items() if not name.startswith(parts))
    for name in ("attention_norm_gain", "output_norm_gain"):
        plain[name] = norm_gain(plain[name])
    return {name: crypten.cryptensor(torch.from_numpy(value).float(), src=0) for name, value in plain.items()}


def layer(x, weights, shape, tuples):
    from crypten_functions import gelu, layer_norm, two_quad_times

    tokens = x.size(0)
    qkv = (x.matmul(weights["qkv"]) + weights["qkv_bias"]).view(tokens, 3, shape.heads, shape.head)
    query, key, value = (qkv[:, part].transpose(0, 1) for part in range(3))
    scores = query.matmul(key.transpose(1, 2)) * shape.head**-0.5
    context = two_quad_times(scores, value).transpose(0, 1).reshape(tokens, shape.hidden)
    attended = context.matmul(weights["attention_output"]) + weights["attention_output_bias"]
    x = layer_norm(x + attended, weights["attention_norm_gain"], weights["attention_norm_bias"])
    inner = gelu(x.matmul(weights["up"]) + weights["up_bias"], tuples)
    inner = inner.matmul(weights["down"]) + weights["down_bias"]
    return layer_norm(x + inner, weights["output_norm_gain"], weights["output_norm_bias"])


def party(rank, asked, rendezvous, core, reports):
    join_group(rank, rendezvous, core)
    import crypten
    import crypten.communicator as comm
    import torch

    from crypten_sines import SineTuples

    crypten.init()
    shape = SHAPES[asked.shape]
    provider = crypten.mpc.get_default_provider()
    tuples = SineTuples()
    intermediate = torch.Size([asked.tokens, shape.intermediate])

    def counted(work):
        comm.get().barrier()
        crypten.reset_communication_stats()
        start = time.perf_counter()
        result = work()
        comm.get().barrier()
        seconds = time.perf_counter() - start
        stats = comm.get().get_communication_stats()
        return result, {"seconds": seconds, "bytes": stats["bytes"], "rounds": stats["rounds"] - 1}  # less a barrier

    def fill():
        provider.fill_cache()
        tuples.fill(intermediate)

    with crypten.no_grad():
        model = [share_layer(layer_weights(shape, number)) for number in range(asked.layers)]
        first = crypten.cryptensor(torch.from_numpy(encoder_input(shape, asked.tokens)), src=1)
        provider.trace(True)  # records what one layer asks for; all layers ask for the same
        layer(first, model[0], shape, tuples)
        provider.trace(False)
        runs = []
        for _ in range(asked.repeats):
            x = first
            totals = {"offline": [], "online": []}
            for weights in model:
                totals["offline"].append(counted(fill)[1])
                x, counts = counted(lambda: layer(x, weights, shape, tuples))
                totals["online"].append(counts)
            output = x.reveal().double().numpy() / x.encoder.scale  # get_plain_text is off by 1 just above -2, -3, ...
            runs.append(
                {
                    phase: {key: sum(counts[key] for counts in layers) for key in ("seconds", "bytes", "rounds")}
                    for phase, layers in totals.items()
                }
            )
            runs[-1]["output"] = output
    reports.put((rank, {"runs": runs, "peak_rss_bytes": peak_rss_bytes()}))
    crypten.uninit()


def run_processes(asked):
    """The reports of party 0, party 1 and the third process, by name."""
    context = multiprocessing.get_context("spawn")
    reports = context.Queue()
    cores = place(asked.cores)
    found = {}
    with tempfile.TemporaryDirectory(prefix="crypten-") as folder:
        rendezvous = os.path.join(folder, "rendezvous")
        work = [(party, (rank, asked, rendezvous, cores[rank], reports)) for rank in range(PARTIES)]
        work.append((third_process, (rendezvous, cores[PARTIES], reports)))
        processes = [context.Process(target=target, args=given, daemon=True) for target, given in work]
        for process in processes:
            process.start()
        while len(found) < len(processes):
            try:
                name, report = reports.get(timeout=1)
                found[name] = report
            except queue.Empty:
                if any(process.exitcode for process in processes):
                    for process in processes:
                        process.kill()
                    sys.exit("crypten_secformer: a process failed, see above")
        for process in processes:
            process.join()
    return found


def place(cores):
    """A core for each of party 0, party 1 and the third process, which has work while party 0 waits for it."""
    return [cores[0], cores[1 % len(cores)], cores[2] if len(cores) > 2 else cores[0]]


def main():
    asked = arguments.parse(__doc__.splitlines()[0])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an exit ends the processes below, a signal would not
    reports = run_processes(asked)
    import crypten
    import torch

    from crypten_functions import gelu_in_float

    shape = SHAPES[asked.shape]
    exact = float_reference.encoder(shape, asked.layers, asked.tokens, "2quad")
    same_gelu = float_reference.encoder(shape, asked.layers, asked.tokens, "2quad", gelu_in_float)
    first, second = reports[0]["runs"], reports[1]["runs"]
    online = [run["online"]["seconds"] for run in first]
    offline = [run["offline"]["seconds"] for run in first]
    cores = place(asked.cores)
    report = {
        "system": "CrypTen, SecFormer's functions",
        "version": f"crypten {crypten.__version__}, torch {torch.__version__}, python {sys.version.split()[0]}",
        "functions": "2Quad, GeLU by 7 sines and 2 comparisons, LayerNorm by Goldschmidt's root",
        "protocol": "2 parties with additive shares of 64 bits, 16 of them fraction; third process deals triples",
        "shape": asked.shape,
        "layers": asked.layers,
        "tokens": asked.tokens,
        "repeats": asked.repeats,
        "placement": f"3 processes, one thread each: parties on cores {cores[0]} and {cores[1]}, dealer on {cores[2]}",
        "online_seconds": statistics.median(online),
        "offline_seconds": statistics.median(offline),
        "total_seconds": statistics.median(a + b for a, b in zip(online, offline)),
        # party 1 talks to party 0 alone and counts what it sends and what it receives
        "online_bytes_each_way": second[-1]["online"]["bytes"] // 2,
        "online_bytes": second[-1]["online"]["bytes"],
        # party 0 alone asks the third process; party 1 extends a seed
        "offline_bytes": int(first[-1]["offline"]["bytes"]),
        "rounds": second[-1]["online"]["rounds"],
        "peak_rss_bytes": sum(part["peak_rss_bytes"] for part in reports.values()),
        "largest_difference": float(max(abs(run["output"] - exact).max() for run in first)),
        "largest_difference_to_same_gelu": float(max(abs(run["output"] - same_gelu).max() for run in first)),
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
