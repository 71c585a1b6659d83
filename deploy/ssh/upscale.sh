#!/bin/bash
# Enlarge pictures on machines that ssh reaches, by a Ray cluster that lives as long as the call:
#
#     deploy/ssh/upscale.sh first.example second.example -- photos/ -o large/ --model photo-x4
#
# The words behind -- are those of `sr4 upscale`. All machines need the folder that this is called
# from and the environment that sr4 is in, under the same names; give the first host by its address.
# At the end, and at Ctrl-C, whatever Ray this user has there is stopped.

set -euo pipefail

hosts=()
while [[ $# -gt 0 && $1 != -- ]]; do
    hosts+=("$1")
    shift
done
if [[ ${#hosts[@]} -eq 0 || $# -lt 2 ]]; then
    echo "usage: upscale.sh HOST... -- INPUT... [options of sr4 upscale]" >&2
    exit 2
fi
shift

path=$(dirname "$(command -v sr4)")
printf -v there 'cd %q && export PATH=%q:$PATH' "$PWD" "$path"
printf -v words '%q ' "$@"
# The token comes by the standard input: what stands in a command is seen by all users of a host.
run="$there RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=120
read -r RAY_AUTH_TOKEN && export RAY_AUTH_TOKEN
exec ray symmetric-run --address ${hosts[0]}:6379 --min-nodes ${#hosts[@]} -- \
    sr4 upscale $words --cluster auto"

stop() {
    for host in "${hosts[@]}"; do
        ssh "$host" "$there; ray stop" > /dev/null 2>&1 &
    done
    wait
}
trap stop EXIT
trap 'exit 130' INT TERM

token=$(openssl rand -hex 32)
for host in "${hosts[@]:1}"; do
    ssh "$host" "$run" <<< "$token" > /dev/null &
done
code=0
ssh "${hosts[0]}" "$run" <<< "$token" || code=$?
exit "$code"
