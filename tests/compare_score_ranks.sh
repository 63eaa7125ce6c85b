#!/bin/sh
# One GPU against several in evaluation and packing: the same losses and the same artifact to the bit, and how much faster.
#
#   tests/compare_score_ranks.sh MODEL 'DATA' TOKENIZER CONFIG [DEVICE]      (BIN: folder of the programs; GPUS: default 2; TMP: scratch)
#
# Scores DATA (a pattern of validation shards) with sliding windows, with test-time training and hash embedding, and so with
# parts = 1 for what parts cost on one GPU; with CALIB (a pattern of training shards; MODEL is a checkpoint then) packs as well.
# Fails when a loss or the artifact differs.
set -eu
[ $# -ge 4 ] || { sed -n 2,8p "$0" >&2; exit 2; }
model=$1 data=$2 tokenizer=$3 config=$4 device=${5:-cuda} gpus=${GPUS:-2} bin=${BIN:-build/cuda/bin}
tmp=$(mktemp -d "${TMP:-/tmp}/score-ranks.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
sed -e '/^parts *=/d' -e 's/^\[eval\.ttt\].*/[eval.ttt]\nparts = 1/' "$config" > "$tmp/one.toml"

# run NAME RANKS CONFIG FLAGS...: prints the figures, leaves NAME.RANKS.nll
run() {
  name=$1 ranks=$2 with=$3
  shift 3
  "$bin/sixteen-eval" score "$model" --data "$data" --tokenizer "$tokenizer" --config "$with" --device "$device" --gpus "$ranks" \
    --nll-out "$tmp/$name.$ranks.nll" --json --quiet "$@" > "$tmp/$name.$ranks.json"
  sed -n 's/.*"bpb":\([0-9.e+-]*\),.*"seconds":\([0-9.e+-]*\),.*/\1 \2/p' "$tmp/$name.$ranks.json" > "$tmp/$name.$ranks"
  read -r bpb seconds < "$tmp/$name.$ranks"
  printf '%s, %s rank(s): %.6f bpb, %.2f s\n' "$name" "$ranks" "$bpb" "$seconds"
}
# same NAME: losses to the bit, and the ratio of the times
same() {
  cmp "$tmp/$1.1.nll" "$tmp/$1.$gpus.nll"
  paste -d' ' "$tmp/$1.1" "$tmp/$1.$gpus" | awk -v name="$1" -v n="$gpus" '{ printf "%s: the same losses, %.3f x with %d\n", name, $2 / $4, n }'
}

for n in 1 "$gpus"; do run sliding "$n" "$config" --sliding; done
same sliding
for n in 1 "$gpus"; do run ttt "$n" "$config" --ttt --hash-embed; done
same ttt
run ttt-one-part 1 "$tmp/one.toml" --ttt --hash-embed
[ -n "${CALIB:-}" ] || exit 0
for n in 1 "$gpus"; do
  begin=$(date +%s.%N)
  "$bin/sixteen-pack" pack "$model" --config "$config" --calib "$CALIB" --device "$device" --gpus "$n" --over-budget -o "$tmp/$n.s16" --quiet
  echo "$begin $(date +%s.%N)" | awk -v n="$n" '{ printf "pack, %s rank(s): %.1f s in all\n", n, $2 - $1 }'
done
cmp "$tmp/1.s16" "$tmp/$gpus.s16"
echo "pack: the same artifact"
