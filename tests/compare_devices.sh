#!/bin/sh
# Does the card score as the CPU does? Mean nats of one model on one text, on both; more than 2e-3 apart is an error.
#
#   tests/compare_devices.sh MODEL DATA TOKENIZER [flags of sixteen-eval score...]        (BIN: folder of the programs)
#
# The CPU computes in fp32, slowly: 1,300 token-forwards a second of the 36-million-parameter model on two cores. A shard of
# some 20,000 tokens is enough.
set -eu
[ $# -ge 3 ] || { sed -n 2,7p "$0" >&2; exit 2; }
model=$1 data=$2 tokenizer=$3
shift 3
loss() {
  device=$1
  shift
  "${BIN:-build/cuda/bin}/sixteen-eval" score "$model" --data "$data" --tokenizer "$tokenizer" --device "$device" --json --quiet "$@" |
    tail -1 | sed 's/.*"loss":\([0-9.e+-]*\).*/\1/'
}
cpu=$(loss cpu "$@")
cuda=$(loss cuda "$@")
awk -v a="$cpu" -v b="$cuda" 'BEGIN {
  d = a > b ? a - b : b - a
  printf "cpu %.6f, cuda %.6f nats a target: %.6f apart\n", a, b, d
  exit !(a > 0 && d <= 2e-3)
}'
