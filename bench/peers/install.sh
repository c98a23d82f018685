#!/usr/bin/env bash
# Installs the peers, each into a virtual environment of its own: DIR/plain, DIR/crypten, DIR/spu.
set -euo pipefail

usage() {
    cat <<'END'
usage: bench/peers/install.sh [DIR]

DIR is where the environments go (default: ${XDG_CACHE_HOME:-~/.cache}/private-bert-peers). About 10 GB, less with
TORCH_INDEX_URL. What is there already is left as it is; nothing is downloaded afterwards.

  PYTHON           Python 3.11 to use (default: python3.11, else python3)
  PLAIN_VENV       an environment with PyTorch and NumPy to use as DIR/plain, instead of 5 GB more
  TORCH_INDEX_URL  an index with smaller PyTorch wheels, as https://download.pytorch.org/whl/cpu
END
}

fail() { echo "install.sh: $*" >&2; exit 2; }

case "${1:-}" in -h | --help) usage; exit ;; -*) usage >&2; fail "unknown option $1" ;; esac
[ $# -le 1 ] || { usage >&2; fail "one folder at most, not $#"; }

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/private-bert-peers}
python=${PYTHON:-$(command -v python3.11 || command -v python3 || true)}
[ -n "$python" ] || fail "no python3 found: set PYTHON to a Python 3.11"
found=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])') || fail "$python does not run"
[ "$found" = 3.11 ] || fail "$python is Python $found; the pinned SPU and PyTorch wheels are for 3.11: set PYTHON"
[ "$(uname -sm)" = "Linux x86_64" ] || fail "the pinned wheels are for Linux on x86_64, this is $(uname -sm)"

mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

# make NAME CHECK [pip's arguments]: made under another name first, so that half an environment is never taken for one
make() {
    local name=$1 check=$2
    shift 2
    if [ -e "$dir/$name" ]; then
        echo "$name: $dir/$name is there already"
    else
        echo "$name: installing into $dir/$name"
        rm -rf "$dir/$name.part"
        "$python" -m venv "$dir/$name.part"
        "$dir/$name.part/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
        mv "$dir/$name.part" "$dir/$name"
    fi
    "$dir/$name/bin/python" -c "$check" || fail "$name does not import; remove $dir/$name and run this again"
}

torch_index=()
crypten_list=$here/requirements-crypten.txt
if [ -n "${TORCH_INDEX_URL:-}" ]; then
    torch_index=(--extra-index-url "$TORCH_INDEX_URL")
    crypten_list=$dir/requirements-crypten-cpu.txt
    grep -v '^nvidia-' "$here/requirements-crypten.txt" >"$crypten_list"
fi

if [ -n "${PLAIN_VENV:-}" ] && [ ! -e "$dir/plain" ]; then
    [ -x "$PLAIN_VENV/bin/python" ] || fail "PLAIN_VENV=$PLAIN_VENV has no bin/python"
    ln -s "$(cd "$PLAIN_VENV" && pwd)" "$dir/plain"
fi
make plain 'import torch, numpy; print("torch", torch.__version__)' \
    "${torch_index[@]}" -r "$here/requirements-plain.txt"
make crypten 'import crypten, torch; print("crypten", crypten.__version__, "on torch", torch.__version__)' \
    --no-deps "${torch_index[@]}" -r "$crypten_list"
make spu 'import spu; print("spu", spu.__version__)' --no-deps -r "$here/requirements-spu.txt"
du -shL "$dir"/plain "$dir"/crypten "$dir"/spu
