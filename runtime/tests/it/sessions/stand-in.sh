#!/bin/bash
# Becomes a role of `runtime` on behalf of a test, which starts it through a link in a folder of its own (`stand_in.rs`).
# Beside the link lie `settings`, the names `runtime`, `port0` and `port1`, and what a role does first, `ROLE.first`.
folder=${0%/*}
source "$folder/settings"
case "$1 $3" in
    "party 0") role=party0 port=$port0 ;;
    "party 1") role=party1 port=$port1 ;;
    *) role=dealer port= ;;
esac
echo $$ > "$folder/$role.pid"
if [ -f "$folder/$role.first" ]; then source "$folder/$role.first"; fi
if [ -z "$port" ]; then exec "$runtime" "$@"; fi
# the starting process is told another port than the one at which the role listens
exec "$runtime" "$@" > >(
    read -r line
    own=${line##*:}
    echo "${own%\}}" > "$folder/$role.port"
    echo "${line%:*}:$port}"
)
