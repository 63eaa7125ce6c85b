// The few functions of NCCL that we call, found at run time: a CUDA build neither needs NCCL's header nor links it, and a run on
// one card does not look for it.
//
// Bites: types and numbers below are NCCL 2's ABI (nccl.h), unchanged since 2.10, where bf16 came.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <string>

namespace sixteen::cuda {

struct NcclUniqueId {
  char internal[128];
};
using NcclComm = void*;

struct NcclLibrary {
  static constexpr int kSuccess = 0, kInProgress = 7;
  static constexpr int kFloat32 = 7, kBfloat16 = 9;  // ncclDataType_t
  static constexpr int kSum = 0;                     // ncclRedOp_t
  static constexpr int kOldest = 21000;              // 2.10

  int (*get_version)(int*);
  int (*get_unique_id)(NcclUniqueId*);
  int (*comm_init_rank)(NcclComm*, int ranks, NcclUniqueId, int rank);
  int (*comm_destroy)(NcclComm);
  int (*comm_abort)(NcclComm);
  int (*comm_get_async_error)(NcclComm, int*);
  const char* (*get_error_string)(int);
  const char* (*get_last_error)(NcclComm);  // null in versions before 2.13
  int (*reduce_scatter)(const void*, void*, size_t count, int type, int op, NcclComm, cudaStream_t);
  int (*all_gather)(const void*, void*, size_t count, int type, NcclComm, cudaStream_t);
  int (*all_reduce)(const void*, void*, size_t count, int type, int op, NcclComm, cudaStream_t);

  int version = 0;  // 22809: 2.28.9
};

// Loaded once. Throws Error when there is none, or one that is too old, and says where it was looked for.
const NcclLibrary& nccl();

}  // namespace sixteen::cuda
