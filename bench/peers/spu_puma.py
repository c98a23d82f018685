"""PUMA's BERT on SecretFlow SPU: ABY3 among three processes that talk over loopback. Prints JSON.

Softmax, exp and GeLU are PUMA's: the maximum is subtracted, exp is cut off at -14 and is (1 + x/32)^32, GeLU is two
polynomials between three comparisons. The model is a function of jax.numpy; all its weights and its input are secret.
"""

import json
import multiprocessing
import os
import re
import resource
import signal
import socket
import statistics
import sys
import tempfile
import time

import arguments
import float_reference
from bert_weights import SHAPES, encoder_input, layer_weights

PARTIES = 3
FRACTION_BITS = 18
EXP_STEPS = 5
EXP_CUT = -14.0
GELU_LEFT = (-0.5054031199708174, -0.42226581151983866, -0.11807612951181953, -0.011034134030615728)
GELU_MIDDLE = (0.008526321541038084, 0.5, 0.3603292692789629, 0.0, -0.037688200365904236, 0.0, 0.0018067462606141187)
LINK_DETAILS = re.compile(r"total send bytes (\d+), recv bytes (\d+), send actions (\d+), recv actions (\d+)")
# what SPU allows by default is 30 s for a message, less than a big step takes on shared cores
RECEIVE_TIMEOUT_MS = 600_000


def softmax(scores):
    import jax.numpy as jnp

    scores = scores - jnp.max(scores, axis=-1, keepdims=True)
    powers = jnp.exp(scores) * (scores > EXP_CUT)
    return powers / jnp.sum(powers, axis=-1, keepdims=True)


def gelu(x):
    import jax.numpy as jnp

    far_left, left, right = x < -4.0, x < -1.95, x > 3.0
    middle = left ^ right ^ True
    x2 = jnp.square(x)
    x3 = x * x2
    x4 = jnp.square(x2)
    x6 = jnp.square(x3)
    a, b = GELU_LEFT, GELU_MIDDLE
    on_left = a[3] * x3 + a[2] * x2 + a[1] * x + a[0]
    on_middle = b[6] * x6 + b[4] * x4 + b[2] * x2 + b[1] * x + b[0]
    return right * x + (far_left ^ left) * on_left + middle * on_middle


def layer_norm(x, gain, bias):
    import jax
    import jax.numpy as jnp

    centred = x - jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
    return centred * jax.lax.rsqrt(variance + 1e-5) * gain + bias


def encoder(shape, model, x):
    """BERT's encoder; `model` is a list of layers' weights by name."""
    import jax.numpy as jnp

    tokens = x.shape[0]
    for weights in model:

        def heads(name):
            rows = jnp.matmul(x, weights[name]) + weights[name + "_bias"]
            return rows.reshape(tokens, shape.heads, shape.head).transpose(1, 0, 2)

        scores = jnp.matmul(heads("query"), heads("key").transpose(0, 2, 1)) * shape.head**-0.5
        context = jnp.matmul(softmax(scores), heads("value")).transpose(1, 0, 2).reshape(tokens, shape.hidden)
        attended = jnp.matmul(context, weights["attention_output"]) + weights["attention_output_bias"]
        x = layer_norm(x + attended, weights["attention_norm_gain"], weights["attention_norm_bias"])
        inner = gelu(jnp.matmul(x, weights["up"]) + weights["up_bias"])
        inner = jnp.matmul(inner, weights["down"]) + weights["down_bias"]
        x = layer_norm(x + inner, weights["output_norm_gain"], weights["output_norm_bias"])
    return x


def runtime_config():
    import spu

    config = spu.RuntimeConfig(
        protocol=spu.ProtocolKind.ABY3, field=spu.FieldType.FM64, fxp_fraction_bits=FRACTION_BITS
    )
    config.fxp_exp_mode = spu.RuntimeConfig.ExpMode.EXP_TAYLOR
    config.fxp_exp_iters = EXP_STEPS
    config.max_concurrency = 1
    config.enable_pphlo_profile = True  # prints what the link carried
    return config


def flat_inputs(shape, layers, tokens):
    """Every input in the order of JAX's flattening, one at a time."""
    for number in range(layers):
        weights = layer_weights(shape, number)
        for name in sorted(weights):
            yield weights[name]
    yield encoder_input(shape, tokens)


def compile_encoder(asked):
    import jax
    import spu
    from spu.utils import frontend

    shape = SHAPES[asked.shape]
    model = [layer_weights(shape, 0)] * asked.layers  # only shapes matter here
    x = encoder_input(shape, asked.tokens)
    count = len(jax.tree_util.tree_leaves((model, x)))
    options = spu.CompilerOptions()
    options.enable_optimize_denominator_with_broadcast = True
    executable, _ = frontend.compile(
        frontend.Kind.JAX,
        lambda model, x: encoder(shape, model, x),
        (model, x),
        {},
        [f"in{index}" for index in range(count)],
        [spu.Visibility.VIS_SECRET] * count,
        lambda outputs: [f"out{index}" for index in range(len(outputs))],
        copts=options,
    )
    return executable


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def party(rank, ports, cores, repeats, log_path, channel):
    """One computing party: receives the program and its shares, runs, sends its share of the output."""
    os.sched_setaffinity(0, cores)
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    import spu

    description = spu.link.Desc()
    description.recv_timeout_ms = RECEIVE_TIMEOUT_MS
    description.http_timeout_ms = RECEIVE_TIMEOUT_MS
    for number, port in enumerate(ports):
        description.add_party(f"party{number}", f"127.0.0.1:{port}")
    link = spu.link.create_brpc(description, rank)
    runtime = spu.Runtime(link, runtime_config())
    executable = spu.Executable()
    executable.ParseFromString(channel.recv())
    for name in executable.input_names:
        runtime.set_var(name, channel.recv())
    seconds = []
    for _ in range(repeats):
        link.barrier()
        start = time.perf_counter()
        runtime.run(executable)
        link.barrier()
        seconds.append(time.perf_counter() - start)
    output = runtime.get_var(executable.output_names[0])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    channel.send({"seconds": seconds, "output": output, "peak_rss_bytes": peak})
    channel.recv()  # the others may still need the link
    link.stop_link()


def place(cores):
    """Cores of each party: one for each if they suffice, else all for all."""
    return [[cores[rank]] if len(cores) >= PARTIES else cores for rank in range(PARTIES)]


def main():
    asked = arguments.parse(__doc__.splitlines()[0])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an exit ends the processes below, a signal would not
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # SPU logs to standard output, which is for the JSON alone
    shape = SHAPES[asked.shape]
    cores = place(asked.cores)
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    ports = free_ports(PARTIES)
    with tempfile.TemporaryDirectory(prefix="spu-") as folder:
        logs = [os.path.join(folder, f"party{rank}.log") for rank in range(PARTIES)]
        channels, processes = [], []
        for rank in range(PARTIES):
            ours, theirs = context.Pipe()
            given = (rank, ports, cores[rank], asked.repeats, logs[rank], theirs)
            process = context.Process(target=party, args=given, daemon=True)
            process.start()
            theirs.close()
            channels.append(ours)
            processes.append(process)
        try:
            reports, output = drive(asked, shape, channels, processes)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            for process in processes:
                process.kill()
                process.join()
            for path in logs:
                if os.path.exists(path):
                    sys.stderr.write(open(path, errors="replace").read()[-3000:])
            sys.exit("spu_puma: a party failed, see above")
        for process in processes:
            process.join()
        carried = [LINK_DETAILS.findall(open(path, errors="replace").read())[-1] for path in logs]
    print(json.dumps(report(asked, shape, reports, output, carried), indent=2), file=answers)


def drive(asked, shape, channels, processes):
    """Hands out program and shares; returns the parties' reports and the output."""
    import spu

    executable = compile_encoder(asked)
    for channel in channels:
        channel.send(executable.SerializeToString())
    io = spu.Io(PARTIES, runtime_config())
    for value in flat_inputs(shape, asked.layers, asked.tokens):
        for channel, share in zip(channels, io.make_shares(value, spu.Visibility.VIS_SECRET)):
            channel.send(share)
    while not all(channel.poll() for channel in channels):
        if any(process.exitcode is not None for process in processes):
            raise EOFError
        time.sleep(0.2)
    reports = [channel.recv() for channel in channels]
    for channel in channels:
        channel.send("done")
    return reports, io.reconstruct([one["output"] for one in reports])


def report(asked, shape, reports, output, carried):
    import numpy as np
    import spu

    exact = float_reference.encoder(shape, asked.layers, asked.tokens, "softmax")
    same_gelu = float_reference.encoder(
        shape, asked.layers, asked.tokens, "softmax", lambda x: np.asarray(gelu(x), np.float64)
    )
    sent = [int(details[0]) for details in carried]
    where = "one core each" if len(asked.cores) >= PARTIES else "all of them on all cores"
    return {
        "system": "SecretFlow SPU, PUMA's functions",
        "version": f"spu {spu.__version__}, python {sys.version.split()[0]}",
        "functions": "softmax with PUMA's exp, GeLU by PUMA's polynomials, LayerNorm by SPU's rsqrt",
        "protocol": f"ABY3: 3 parties, honest majority, shares of 64 bits, {FRACTION_BITS} of them fraction; no dealer",
        "shape": asked.shape,
        "layers": asked.layers,
        "tokens": asked.tokens,
        "repeats": asked.repeats,
        "placement": f"3 processes, one computing thread each, cores {asked.cores}, {where}",
        "online_seconds": statistics.median(reports[0]["seconds"]),
        "offline_seconds": 0.0,
        "total_seconds": statistics.median(reports[0]["seconds"]),
        "online_bytes": sum(sent),
        "online_bytes_by_party": sent,
        "offline_bytes": 0,
        "messages_by_party": [int(details[2]) for details in carried],  # SPU does not count rounds
        "peak_rss_bytes": sum(one["peak_rss_bytes"] for one in reports),
        "largest_difference": float(abs(output - exact).max()),
        "largest_difference_to_same_gelu": float(abs(output - same_gelu).max()),
    }


if __name__ == "__main__":
    main()
