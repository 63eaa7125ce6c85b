#!/bin/sh
# One GPU against two: exact collectives, the same training to rounding, and how much faster a step is.
#
#   tests/compare_ranks.sh TOKENIZER [STEPS [DEVICE [CONFIG]]]      (BIN: folder of the programs; GPUS: default 2; TMP: scratch)
#
# Trains STEPS steps (default 20, the loop on from 35 %) of CONFIG (default configs/pr1584.toml) on sample text with one rank and with GPUS,
# prints both losses beside each other and fails when one is more than 0.5 % apart: gradients meet in bf16 and in another
# order, as they do between the public records' runs. TOKENIZER: of the config's vocabulary.
set -eu
[ $# -ge 1 ] || { sed -n 2,9p "$0" >&2; exit 2; }
tokenizer=$1 steps=${2:-20} device=${3:-cuda} config=${4:-configs/pr1584.toml} gpus=${GPUS:-2} bin=${BIN:-build/cuda/bin}
tmp=$(mktemp -d "${TMP:-/tmp}/ranks.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
[ ! -x "$bin/bench_ranks" ] || "$bin/bench_ranks" collectives --device "$device" --gpus "$gpus"
"$bin/sixteen-train" corpus --out "$tmp/text.txt" --bytes 48000000 --seed 1 --quiet
"$bin/sixteen-train" tokenize --tokenizer "$tokenizer" --text "$tmp/text.txt" --out "$tmp/data" --val-docs 50 --shard-tokens 1000000 --quiet
sed -e 's/^clock = .*/clock = "steps"/' -e "s/^steps = .*/steps = $steps/" -e 's/^log_every = .*/log_every = 1/' \
  -e 's/^val_every = .*/val_every = 0/' -e 's/^checkpoint_seconds = .*/checkpoint_seconds = 0.0/' "$config" > "$tmp/c.toml"
for n in 1 "$gpus"; do
  "$bin/sixteen-train" run --config "$tmp/c.toml" --data "$tmp/data" --out "$tmp/m$n" --device "$device" --gpus "$n" --quiet
  sed -n 's/.*"step":\([0-9]*\),"loss":\([0-9.e+-]*\),.*"ms_per_step":\([0-9.e+-]*\),.*/\1 \2 \3/p' "$tmp/m$n.log.jsonl" > "$tmp/loss$n"
done
paste -d' ' "$tmp/loss1" "$tmp/loss$gpus" | awk -v n="$gpus" '{
  d = ($2 - $5) / $2; if (d < 0) d = -d; if (d > worst) worst = d
  if (NR <= 5 || NR % 10 == 0) printf "step %d: loss %.5f with one rank, %.5f with %d (%.0f and %.0f ms)\n", $1, $2, $5, n, $3, $6
} END { printf "%d steps, losses at most %.4f %% apart\n", NR, 100 * worst; exit !(NR > 0 && worst <= 5e-3) }'
