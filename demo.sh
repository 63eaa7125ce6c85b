#!/usr/bin/env bash
# The whole pipeline on one page, run by `make demo`: sample text -> tokenizer -> token shards -> checkpoint -> artifact
# -> scores, each by one command that also works on real data. Everything it makes is left in DIR (default build/demo).
# Bites: needs `make build` first; what DIR held before is replaced.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
dir=${1:-build/demo}
train=build/bin/sixteen-train pack=build/bin/sixteen-pack eval=build/bin/sixteen-eval
config=configs/demo.toml
rm -rf "$dir" && mkdir -p "$dir/tokens"

step() { printf '\n[%d:%02d] %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$*"; }

step "sample text"
$train corpus --out "$dir/corpus.txt" --bytes 12000000 --seed 1
step "tokenizer"
$train tokenizer --text "$dir/corpus.txt" --vocab 1024 --out "$dir/tokenizer.model"
step "token shards"
$train tokenize --tokenizer "$dir/tokenizer.model" --text "$dir/corpus.txt" --out "$dir/tokens" --val-docs 200
step "training"
$train run --config $config --data "$dir/tokens" --val "$dir/tokens/*_val_*.bin" --tokenizer "$dir/tokenizer.model" \
  --out "$dir/model.safetensors"
step "packing"
$pack pack "$dir/model.safetensors" -o "$dir/model.s16" --config $config --calib "$dir/tokens/*_train_*.bin"
$pack inspect "$dir/model.s16" >"$dir/inspect.txt"

table=""
# score NAME FILE OPTION...: scores FILE on the validation shards and adds a row to the table.
score() {
  local name=$1 file=$2
  shift 2
  step "scoring: $name"
  local begin=$SECONDS
  $eval score "$file" --config $config --data "$dir/tokens/*_val_*.bin" --tokenizer "$dir/tokenizer.model" --json "$@" \
    | tail -n 1 >"$dir/score.json"
  local bpb
  bpb=$(sed -n 's/.*"bpb": *\([0-9.]*\).*/\1/p' "$dir/score.json")
  mv "$dir/score.json" "$dir/score_${name//[^a-z0-9]/_}.json"
  table+=$(printf '%-38s %8.4f %12d %6d' "$name" "$bpb" "$(stat -c %s "$file")" $((SECONDS - begin)))$'\n'
}
score "checkpoint, plain windows" "$dir/model.safetensors"
score "artifact, plain windows" "$dir/model.s16"
score "artifact, sliding windows" "$dir/model.s16" --sliding
score "artifact, + test-time training" "$dir/model.s16" --ttt
score "artifact, + hash embedding" "$dir/model.s16" --ttt --hash-embed

printf '\n%-38s %8s %12s %6s\n%s' "stage" "bpb" "bytes" "s" "$table"
