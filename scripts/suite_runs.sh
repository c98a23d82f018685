#!/usr/bin/env bash
# Runs the README's test command again and again and writes one line of JSON for each run, so that "it passes every time" is a
# count. What was done is read from the results file: start the script again and it goes on. A run that was interrupted leaves
# no line and is made again.
#
#   scripts/suite_runs.sh [--runs N] [--loaded] [--commit] [--results FILE] [--command COMMAND]
#
#   --runs N           so many runs of this kind, those in the results file included (10)
#   --loaded           with every core busy: as many endless loops as there are cores run beside the tests
#   --commit           commit the results file after each run
#   --results FILE     where the lines go (results/suite-runs.jsonl)
#   --command COMMAND  another test command, such as "cargo test -p net --locked"; its lines count apart
#
# Only lines of this commit count; a commit that changes nothing but the results file is no other one. Needs jq.
set -euo pipefail
# every background job leads a process group of its own, so that it can be ended with all that it started
set -m
cd "$(dirname "$0")/.."

# the command in the README's code block under a marker, as in .ci/run
readme() { awk -v marker="<!-- ci: $1 -->" '$0 == marker { on = 1; next } on && /^```/ { if (++fence == 2) exit; next } on && fence' README.md; }

runs=10 load=quiet commit=no results=results/suite-runs.jsonl command=$(readme test)
while [ $# -gt 0 ]; do
    case $1 in
        --runs) runs=$2; shift 2 ;;
        --loaded) load=loaded; shift ;;
        --commit) commit=yes; shift ;;
        --results) results=$2; shift 2 ;;
        --command) command=$2; shift 2 ;;
        *) echo "unknown argument: $1 (see the head of $0)" >&2; exit 2 ;;
    esac
done

# the last commit that changed anything but the results
others=(-- . ":(exclude)$results")
version=$(git log -1 --format=%H "${others[@]}")
if [ -n "$(git status --porcelain "${others[@]}")" ]; then
    echo "some changes are not committed: a run would be counted for a commit that it did not test" >&2
    exit 1
fi

jobs=()
log=$(mktemp)
end_jobs() {
    for job in ${jobs[@]+"${jobs[@]}"}; do kill -- "-$job" 2>/dev/null || true; done
    jobs=()
}
trap 'end_jobs; rm -f "$log"' EXIT
trap 'exit 130' INT TERM HUP

mkdir -p "$(dirname "$results")"
touch "$results"
counted() {
    jq -s --arg commit "$version" --arg load "$load" --arg command "$command" \
        'map(select(.commit == $commit and .load == $load and .command == $command)) | length' "$results"
}

# built beforehand: a run's seconds are those of its tests
bash -c "$command --no-run" &
jobs=($!)
wait $!

while number=$(($(counted) + 1)); [ "$number" -le "$runs" ]; do
    jobs=()
    if [ $load = loaded ]; then
        for _ in $(seq "$(nproc)"); do
            (while :; do :; done) &
            jobs+=($!)
        done
    fi
    echo "run $number of $runs, $load: $command" >&2
    begin=$(date +%s) status=0
    # in the background, so that an interruption is seen at once; all tests run, whichever fail
    bash -c "$command --no-fail-fast" >"$log" 2>&1 &
    jobs+=($!)
    wait $! || status=$?
    seconds=$(($(date +%s) - begin))
    end_jobs

    # "test result: ok. 5 passed; 0 failed; ..." of each binary, "test NAME ... FAILED", "... to rerun pass `TARGET`"
    passed=$(awk '/^test result: / { sum += $4 } END { print sum + 0 }' "$log")
    failed=$(awk '/^test result: / { sum += $6 } END { print sum + 0 }' "$log")
    failures=$(awk '/^test .* \.\.\. FAILED/ { print $2 }' "$log" | sort)
    targets=$(sed -n 's/^error: .*to rerun pass `\(.*\)`$/\1/p' "$log")
    jq -cn --arg commit "$version" --argjson run "$number" --arg load "$load" --arg command "$command" \
        --arg date "$(date -u +%FT%TZ)" --argjson seconds "$seconds" --argjson exit_code "$status" \
        --argjson passed "$passed" --argjson failed "$failed" --arg failures "$failures" --arg targets "$targets" \
        'def lines: split("\n") | map(select(. != ""));
         {$commit, $run, $load, $command, $date, $seconds, $exit_code, $passed, $failed,
          failures: ($failures | lines), targets: ($targets | lines)}' >>"$results"
    tail -n 1 "$results" >&2
    if [ "$status" -ne 0 ]; then
        # what a failed test said
        kept=target/suite-runs/$(date -u +%Y%m%d-%H%M%S)-$load-$number.log
        mkdir -p target/suite-runs
        cp "$log" "$kept"
        echo "failed: $kept" >&2
    fi
    if [ $commit = yes ]; then
        git add -- "$results"
        git commit --quiet --message "results: the tests' run $number, $load: $passed passed, $failed failed" -- "$results"
    fi
done
