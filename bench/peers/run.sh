#!/usr/bin/env bash
# Runs plain PyTorch, our runtime, CrypTen and SPU on the same shape, one after another, and writes one table.
set -euo pipefail

usage() {
    cat <<'END'
usage: bench/peers/run.sh [options]

  --dir DIR      where install.sh put the peers (default: ${XDG_CACHE_HOME:-~/.cache}/private-bert-peers)
  --shape NAME   bert-base (default), bert-large, minilm-l6 or tiny
  --layers N     only the first N layers of the shape
  --tokens N     128 by default
  --repeats N    measured runs of each, 3 by default; seconds are medians
  --cores LIST   cores for everything, as 0,1 (default: all that this process may use)
  --only LIST    some of plain,ours,crypten,spu
  --output FILE  the table as JSON (default: DIR/results/SHAPE-LAYERSxTOKENS.json)

The table goes to standard output as Markdown. RUNTIME is the path of our program (default: target/release/runtime).
END
}

fail() { echo "run.sh: $*" >&2; exit 2; }

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=${XDG_CACHE_HOME:-$HOME/.cache}/private-bert-peers
shape=bert-base layers= tokens=128 repeats=3 cores= only=plain,ours,crypten,spu output=
while [ $# -gt 0 ]; do
    case "$1" in
        -h | --help) usage; exit ;;
        --dir | --shape | --layers | --tokens | --repeats | --cores | --only | --output)
            [ $# -ge 2 ] || fail "$1 needs a value"
            declare "${1#--}=$2"
            shift 2
            ;;
        *) usage >&2; fail "unknown argument $1" ;;
    esac
done
for name in layers tokens repeats; do
    [[ ${!name} =~ ^([1-9][0-9]*)?$ ]] || fail "--$name ${!name} is not a positive whole number"
done
case "$shape" in
    bert-base) whole=12 ;;
    bert-large) whole=24 ;;
    minilm-l6) whole=6 ;;
    tiny) whole=2 ;;
    *) fail "--shape $shape: one of bert-base, bert-large, minilm-l6, tiny" ;;
esac
for name in ${only//,/ }; do
    case "$name" in plain | ours | crypten | spu) ;; *) fail "--only $name: some of plain,ours,crypten,spu" ;; esac
done
layers=${layers:-$whole}
[ "$layers" -le "$whole" ] || fail "--layers $layers: $shape has $whole"
cores=${cores:-$(python3 -c 'import os; print(*sorted(os.sched_getaffinity(0)), sep=",")')}
taskset -c "$cores" true 2>/dev/null || fail "--cores $cores: not a list of cores that this process may use"
runtime=${RUNTIME:-$here/../../target/release/runtime}
output=${output:-$dir/results/$shape-${layers}x$tokens.json}
mkdir -p "$(dirname "$output")"
reports=$(mktemp -d)
trap 'rm -rf "$reports"' EXIT

# the share of all cores' time that something else took during two seconds
busy() {
    { head -1 /proc/stat; sleep 2; head -1 /proc/stat; } |
        awk '{ total = 0; for (i = 2; i <= NF; i++) total += $i; idle = $5 + $6 }
             NR == 1 { t = total; d = idle } NR == 2 { printf "%.2f\n", 1 - (idle - d) / (total - t) }'
}

failed=()
# measure NAME COMMAND...: its JSON, and how busy the machine was just before
measure() {
    local name=$1
    shift
    [[ ,$only, == *,$name,* ]] || return 0
    busy >"$reports/$name.busy"
    echo "run.sh: $name (the machine is $(cat "$reports/$name.busy") busy with other things) ..." >&2
    if ! taskset -c "$cores" "$@" >"$reports/$name.json"; then
        echo "run.sh: $name failed" >&2
        rm -f "$reports/$name.json"
        failed+=("$name")
    fi
}

peer() {
    local name=$1 script=$2
    shift 2
    [[ ,$only, == *,$name,* ]] || return 0
    if [ -x "$dir/$name/bin/python" ]; then
        measure "$name" "$dir/$name/bin/python" "$here/$script" --shape "$shape" --layers "$layers" --tokens "$tokens" \
            --cores "$cores" "$@"
    else
        echo "run.sh: $name is not in $dir: bench/peers/install.sh puts it there" >&2
    fi
}

# the plain run is short: more of them
peer plain plain_torch.py --repeats $((repeats * 5))
if [ -x "$runtime" ]; then
    measure ours "$runtime" bench model --model "$shape" --layers "$layers" --tokens "$tokens" --embedding client \
        --schedule ahead --repeat "$repeats" --threads 1 --json
elif [[ ,$only, == *,ours,* ]]; then
    echo "run.sh: $runtime is not there: cargo build --release -p runtime, or set RUNTIME" >&2
fi
peer crypten crypten_secformer.py --repeats "$repeats"
peer spu spu_puma.py --repeats "$repeats"

python3 "$here/table.py" "$reports" --shape "$shape" --layers "$layers" --tokens "$tokens" --cores "$cores" \
    --output "$output"
echo "run.sh: the same as JSON: $output" >&2
[ ${#failed[@]} -eq 0 ] || { echo "run.sh: failed: ${failed[*]}" >&2; exit 1; }
