#!/usr/bin/env bash
# Lays out four roles on this machine, each with its part of the shipped student, a key and a configuration of its own, so that
# docs/operating.md can be tried in four shells. One machine protects nothing: between organisations, each does its own part.
#
#   deploy/try.sh FOLDER [STUDENT]
#
# FOLDER must not be there yet. RUNTIME and CONVERT name the programs (target/release/runtime, target/release/convert).
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -ge 1 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
student=${2:-models/sst2-minilm-l4-2quad}
runtime=${RUNTIME:-target/release/runtime} convert=${CONVERT:-target/release/convert}
for program in "$runtime" "$convert"; do
    [ -x "$program" ] || { echo "$program is missing: cargo build --release --locked --workspace --bins" >&2; exit 1; }
done
[ ! -e "$1" ] || { echo "$1 is there already; choose another folder" >&2; exit 1; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)

"$convert" "$student" -o "$folder/bundle"
declare -A pins
for role in party0 party1 dealer client; do
    mkdir "$folder/$role"
    # nobody's part stays beside another's
    mv "$folder/bundle/$role" "$folder/$role/bundle"
    pins[$role]=$("$runtime" keys new "$folder/$role/keys")
done
rmdir "$folder/bundle" 2>/dev/null || true

# the examples, with paths and addresses of this machine
for role in party0 party1 dealer client; do
    sed -e 's#^bundle = .*#bundle = "bundle"#' -e 's#^keys = .*#keys = "keys"#' \
        -e 's#party0.example.org:7100#127.0.0.1:7100#' -e 's#party1.example.org:7100#127.0.0.1:7101#' \
        -e "s#^listen = .*#listen = \"127.0.0.1:710${role#party}\"#" -e 's#^format = "json"#format = "text"#' \
        -e "s#pb1-PARTY0#${pins[party0]}#" -e "s#pb1-PARTY1#${pins[party1]}#" \
        -e "s#pb1-DEALER#${pins[dealer]}#" -e "s#pb1-CLIENT#${pins[client]}#" "deploy/$role.toml" >"$folder/$role/$role.toml"
done
cat <<END
Laid out in $folder. One role a shell, in any order:
  $runtime party --config $folder/party0/party0.toml
  $runtime party --config $folder/party1/party1.toml
  $runtime dealer --config $folder/dealer/dealer.toml
  $runtime infer --config $folder/client/client.toml --text "a gorgeous, witty, seductive movie"
END
