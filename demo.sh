#!/usr/bin/env bash
# The whole way from nothing, run by `make demo`: sample text -> tokenizer -> token shards, then pipeline.sh: checkpoint ->
# artifact -> scores. Everything it makes is left in DIR (default build/demo).
# Bites: needs `make build` first; what DIR held before is replaced.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
dir=${1:-build/demo}
train=build/bin/sixteen-train
rm -rf "$dir" && mkdir -p "$dir/tokens"

printf 'sample text\n'
$train corpus --out "$dir/corpus.txt" --bytes 12000000 --seed 1
printf '\ntokenizer\n'
$train tokenizer --text "$dir/corpus.txt" --vocab 1024 --out "$dir/tokenizer.model"
printf '\ntoken shards\n'
$train tokenize --tokenizer "$dir/tokenizer.model" --text "$dir/corpus.txt" --out "$dir/tokens" --val-docs 200
exec ./pipeline.sh configs/demo.toml "$dir/tokens" "$dir/tokens/*_val_*.bin" "$dir/tokenizer.model" "$dir"
