#!/usr/bin/env bash
# Checks deploy/*.service with systemd: every line is understood, and what a service is exposed to is not more than it was.
# The program need not be installed: a stand-in takes its place in copies of the units.
set -euo pipefail
cd "$(dirname "$0")/.."

# of 100, where 0 is nothing and a service without any protection has 96; as `systemd-analyze security` counts
most_exposure=20

if ! command -v systemd-analyze >/dev/null; then
    echo "NOT CHECKED: systemd-analyze is missing, so deploy/*.service were not verified; install systemd to check them" >&2
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '#!/bin/sh\n' >"$work/runtime"
chmod +x "$work/runtime"
for unit in deploy/*.service; do
    sed "s#/usr/local/bin/runtime#$work/runtime#" "$unit" >"$work/$(basename "$unit")"
done
units=("$work/private-bert-party@0.service" "$work/private-bert-party@1.service" "$work/private-bert-dealer.service")
# instances are files here, so that each is read as it would run
cp "$work/private-bert-party@.service" "${units[0]}"
cp "$work/private-bert-party@.service" "${units[1]}"
for unit in "${units[@]}"; do
    name=$(basename "$unit")
    # what is said of other units of this machine is not about ours, and its exit status is of all
    said=$(systemd-analyze verify --man=no --recursive-errors=no "$unit" 2>&1 || true)
    ours=$(grep -F "private-bert" <<<"$said" || true)
    if [ -n "$ours" ]; then
        echo "$name: systemd-analyze verify says:" >&2
        echo "$ours" >&2
        exit 1
    fi
    if ! systemd-analyze security --no-pager --offline=yes --threshold="$most_exposure" "$unit" >"$work/security" 2>&1; then
        grep -v "✓" "$work/security" >&2 || true
        echo "$name: more exposed than $most_exposure of 100, or not readable: see the lines above" >&2
        exit 1
    fi
    tail -n 1 "$work/security" | sed "s/^→ Overall exposure level for [^:]*/$name/"
done
