#!/bin/bash
# Train on machines that ssh reaches, with so many processes on each:
#
#     deploy/ssh/train.sh 4 first.example second.example -- train sr4 --data prepared/ --out runs/mine
#
# The words behind -- are those of `sr4`. All machines need the folder that this is called from and
# the environment that sr4 is in, under the same names. Ctrl-C ends all; the same call goes on.

set -euo pipefail

count=${1:-}
hosts=()
while shift && [[ $# -gt 0 && $1 != -- ]]; do
    hosts+=("$1")
done
if [[ ! $count =~ ^[1-9][0-9]*$ || ${#hosts[@]} -eq 0 || $# -lt 2 ]]; then
    echo "usage: train.sh COUNT HOST... -- train|distill ... [options of sr4]" >&2
    exit 2
fi
shift

path=$(dirname "$(command -v sr4)")
printf -v there 'cd %q && export PATH=%q:$PATH' "$PWD" "$path"
printf -v words '%q ' "$@"

calls=()
for rank in "${!hosts[@]}"; do
    # With a terminal of its own, what runs there ends when the connection does.
    ssh -tt "${hosts[rank]}" "$there && exec torchrun --nnodes ${#hosts[@]} --node-rank $rank \
        --nproc-per-node $count --master-addr ${hosts[0]} --master-port 29500 -m sr4 $words" \
        < /dev/null &
    calls+=($!)
done
trap 'kill "${calls[@]}"' INT TERM

code=0
for call in "${calls[@]}"; do
    wait "$call" || code=$?
done
exit "$code"
