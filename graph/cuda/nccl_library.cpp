// See nccl_library.h.
#include "graph/cuda/nccl_library.h"

#include <dlfcn.h>

#include "formats/error.h"

#ifndef SIXTEEN_NCCL_LIBRARY
#define SIXTEEN_NCCL_LIBRARY ""  // where the build found one: the second place to look
#endif

namespace sixteen::cuda {
namespace {

void* open_library() {
  void* library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
  const std::string first = library == nullptr ? dlerror() : "";
  const std::string beside = SIXTEEN_NCCL_LIBRARY;
  if (library == nullptr && !beside.empty()) library = dlopen(beside.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library != nullptr) return library;
  fail("several ranks on CUDA need NCCL: ", first, beside.empty() ? "" : ", nor " + beside,
       "; install libnccl2, or put the folder with libnccl.so.2 into LD_LIBRARY_PATH");
}

template <class F>
void find(void* library, const char* name, F* function, bool required = true) {
  *function = reinterpret_cast<F>(dlsym(library, name));
  if (*function == nullptr && required) fail("libnccl.so.2 has no ", name, "; install NCCL 2.10 or newer");
}

NcclLibrary load() {
  void* library = open_library();
  NcclLibrary n{};
  find(library, "ncclGetVersion", &n.get_version);
  find(library, "ncclGetUniqueId", &n.get_unique_id);
  find(library, "ncclCommInitRank", &n.comm_init_rank);
  find(library, "ncclCommDestroy", &n.comm_destroy);
  find(library, "ncclCommAbort", &n.comm_abort);
  find(library, "ncclCommGetAsyncError", &n.comm_get_async_error);
  find(library, "ncclGetErrorString", &n.get_error_string);
  find(library, "ncclGetLastError", &n.get_last_error, false);
  find(library, "ncclReduceScatter", &n.reduce_scatter);
  find(library, "ncclAllGather", &n.all_gather);
  find(library, "ncclAllReduce", &n.all_reduce);
  if (n.get_version(&n.version) != NcclLibrary::kSuccess || n.version < NcclLibrary::kOldest) {
    fail("libnccl.so.2 is version ", n.version, "; install NCCL 2.10 (21000) or newer");
  }
  return n;
}

}  // namespace

const NcclLibrary& nccl() {
  static const NcclLibrary library = load();
  return library;
}

}  // namespace sixteen::cuda
