// SHA-256 of the leaves of a buffer, one thread a leaf.
//
// Floor: one thread's chain of 1,025 blocks of 64 rounds for a leaf of 64 KiB; leaves run side by side, so few of them cost as much as
// some thousands. Blocks of one warp, so that few leaves spread over all multiprocessors.
#include "formats/sha256.h"
#include "graph/cuda/kernels.h"
#include "graph/cuda/sha256_leaf.h"

namespace sixteen::cuda {
namespace {

constexpr int kLanes = 32;

__constant__ uint32_t round_constants[64];

__global__ void leaf_kernel(const std::byte* data, size_t bytes, Sha256Words* out, int64_t leaves) {
  const int64_t leaf = static_cast<int64_t>(blockIdx.x) * kLanes + threadIdx.x;
  if (leaf >= leaves) return;
  const size_t from = static_cast<size_t>(leaf) * kLeafBytes;
  const size_t size = bytes - from < kLeafBytes ? bytes - from : kLeafBytes;
  out[leaf] = sha256_leaf(round_constants, reinterpret_cast<const uint32_t*>(data + from), size);
}

}  // namespace

void leaf_digests(cudaStream_t stream, const void* data, size_t bytes, Sha256Words* out) {
  const int64_t leaves = static_cast<int64_t>(leaf_count(bytes));
  if (leaves == 0) return;
  SIXTEEN_CUDA_CHECK(cudaMemcpyToSymbolAsync(round_constants, kSha256Rounds, sizeof kSha256Rounds, 0, cudaMemcpyHostToDevice, stream));
  leaf_kernel<<<static_cast<unsigned>(ceil_div(leaves, kLanes)), kLanes, 0, stream>>>(static_cast<const std::byte*>(data), bytes, out, leaves);
  SIXTEEN_CUDA_CHECK(cudaGetLastError());
}

}  // namespace sixteen::cuda
