#!/bin/sh
# The case table of graph/cuda and whole sessions under compute-sanitizer: no access outside of what was allocated (memcheck), no
# race within a block (racecheck). initcheck says nothing here: all memory is zeroed, and the arena is reused. Minutes on a card.
#
#   tests/sanitize_cuda.sh [build/cuda/bin/test_cuda [TOOL...]]
set -eu
program=${1:-build/cuda/bin/test_cuda}
[ $# -gt 0 ] && shift
[ -x "$program" ] || { echo "$program: not there; build it with cmake --preset cuda && cmake --build --preset cuda --target test_cuda" >&2; exit 1; }
command -v compute-sanitizer >/dev/null || { echo "compute-sanitizer: not found; it comes with the CUDA toolkit" >&2; exit 1; }
for tool in ${*:-memcheck racecheck}; do
  echo "== $tool"
  compute-sanitizer --tool "$tool" --error-exitcode 1 --print-limit 5 "$program" \
    --gtest_filter='Table/CudaOpTest.RunsRepeatBitByBit/*:CudaAttention.*:CudaSession.*' --gtest_brief=1
done
