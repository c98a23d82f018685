"""Measures in about half a minute what this machine can do at most, and writes results/rates.json: multiply-adds of
each kernel in registers alone and in a product, and the memory's speed. docs/performance.md holds its runs against
them. Build first, and let the machine do nothing else.

    cargo build --release --locked -p runtime && cargo build --release --locked -p ring64 --example gemm_speed
    python3 bench/rates.py [--target target/release] [--output results/rates.json]
"""

import argparse
import json
import os
import subprocess
import sys
import time

SHAPE = "128x768x3072"
COPIED = 256 << 20  # bytes: more than caches hold
COPIES = 9


def output(*command):
    if not os.access(command[0], os.X_OK):
        sys.exit(f"{command[0]} is not there; build it as `python3 bench/rates.py --help` says, or say --target")
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if ended.returncode != 0:
        sys.exit(f"ended with code {ended.returncode}: {' '.join(command)}")
    return ended.stdout


def gemm_speed(text):
    """Rates in registers and of a packed product on one thread, by kernel, from what examples/gemm_speed.rs prints."""
    found, kernel = {}, None
    for row in text.splitlines():
        if row.endswith(": G multiply-adds/s"):
            kernel = row.split(":")[0]
        elif row.strip().startswith(SHAPE):
            registers, product, _, _ = map(float, row.rsplit(maxsplit=4)[1:])
            found[kernel.lower()] = {"registers": registers, "packed": product}
    if not found:
        sys.exit(f"gemm_speed printed no row for {SHAPE}")
    return found


def memory():
    """Bytes a second read and written, by the best of several copies."""
    source, into = bytearray(COPIED), memoryview(bytearray(COPIED))
    seconds = []
    for _ in range(COPIES):
        begin = time.perf_counter()
        into[:] = source
        seconds.append(time.perf_counter() - begin)
    return 2 * COPIED / min(seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="target/release", help="folder of the built programs")
    parser.add_argument("--output", default="results/rates.json")
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    speeds = gemm_speed(output(f"{options.target}/examples/gemm_speed", SHAPE, "packed"))
    products = json.loads(output(f"{options.target}/runtime", "bench", "kernels", "--threads", "1", "--json"))
    kernels = []
    for one in products["kernels"]:
        if one["kernel"] not in speeds:
            sys.exit(f"gemm_speed does not know the kernel {one['kernel']}; build both again")
        kernels.append({"kernel": one["kernel"], **speeds[one["kernel"]], "as_is": one["giga_products_per_second"]})
    rates = {
        "unit": "billion multiply-adds a second on one thread, of 64-bit words; bytes a second read and written",
        "product": SHAPE,
        "kernels": kernels,
        "memory_bytes_per_second": memory(),
    }
    with open(options.output + ".new", "w", encoding="utf-8") as file:
        json.dump(rates, file, indent=1)
        file.write("\n")
    os.replace(options.output + ".new", options.output)


if __name__ == "__main__":
    main()
