#!/usr/bin/env bash
# pipeline.sh CONFIG TRAIN_DIR VAL_PATTERN TOKENIZER OUT_DIR: trains, packs and scores CONFIG's model, one command a stage, and
# ends with the table of bits per byte. Everything it makes is left in OUT_DIR: model.safetensors, hessians.safetensors,
# model.s16, one JSON a score, report.html. demo.sh runs it on text of our own; on your shards:
#   ./pipeline.sh configs/fineweb-cpu.toml tokens 'tokens/*_val_*.bin' tokenizer.model out
# Bites: needs `make build` first; files of an earlier run in OUT_DIR are replaced.
set -euo pipefail
[ $# = 5 ] || { sed -n '2,3p' "$0" >&2; exit 2; }
config=$1 data=$2 val=$3 tokenizer=$4 out=$5
bin=$(dirname "${BASH_SOURCE[0]}")/build/bin
mkdir -p "$out"

step() { printf '\n[%d:%02d] %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$*"; }

step "training"
"$bin/sixteen-train" run --config "$config" --data "$data" --val "$val" --tokenizer "$tokenizer" --out "$out/model.safetensors" \
  --hessians "$out/hessians.safetensors"
step "packing"
"$bin/sixteen-pack" pack "$out/model.safetensors" -o "$out/model.s16" --config "$config" --hessians "$out/hessians.safetensors"
"$bin/sixteen-pack" inspect "$out/model.s16" >"$out/inspect.txt"

table=""
# score NAME FILE OPTION...: scores FILE and adds a row to the table.
score() {
  local name=$1 file=$2 json
  shift 2
  step "scoring: $name"
  json=$out/score_${name//[^a-z0-9]/_}.json
  "$bin/sixteen-eval" score "$file" --config "$config" --data "$val" --tokenizer "$tokenizer" --json "$@" | tail -n 1 >"$json"
  number() { sed -n "s/.*\"$1\": *\([0-9.]*\).*/\1/p" "$json"; }
  table+=$(printf '%-32s %8.4f %12d %8.0f' "$name" "$(number bpb)" "$(stat -c %s "$file")" "$(number seconds)")$'\n'
}
score "checkpoint, plain windows" "$out/model.safetensors"
score "artifact, plain windows" "$out/model.s16"
score "artifact, sliding windows" "$out/model.s16" --sliding --tap-in none
score "artifact, + test-time training" "$out/model.s16" --ttt --tap-in none
score "artifact, + hash embedding" "$out/model.s16" --ttt --hash-embed --tap-in none --report "$out/report.html"
if grep -q '^\[eval.tap_in\]' "$config"; then
  score "artifact, + Tap-In" "$out/model.s16" --ttt --hash-embed
fi

printf '\n%-32s %8s %12s %8s\n%s' "stage" "bpb" "file bytes" "seconds" "$table"
