// What every kernel launcher is given: the stream, scratch memory, and whether this is the sizing run.
//
// An executor runs its nodes once "dry" before the first real run: nothing is launched then, but scratch() notes how much
// each op asks for and the GEMM picks its algorithms. So an op's scratch is sized where it is used, and nothing is
// allocated in a step.
// Bites: scratch() hands out parts of one region that each node begins anew; nothing in it survives a node. In the dry run
// addresses are made up (right alignment, wrong memory): launchers may look at alignment but never dereference.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "formats/check.h"
#include "formats/error.h"

namespace sixteen::cuda {

using bf16 = __nv_bfloat16;

// What the driver says about a failed call is rarely the user's fault: name the call and the place.
inline void check(cudaError_t status, const char* what, const char* file, int line) {
  if (status == cudaSuccess) return;
  fail("cuda: ", what, " failed at ", file, ":", line, ": ", cudaGetErrorString(status), " (", cudaGetErrorName(status), ")");
}
#define SIXTEEN_CUDA_CHECK(call) ::sixteen::cuda::check((call), #call, __FILE__, __LINE__)

constexpr size_t kAlignment = 256;
constexpr size_t kPackBytes = 16;  // what a thread reads at once; states may be parts of larger buffers

class Gemm;

class Launch {
 public:
  Launch(cudaStream_t on, Gemm* products) : stream(on), gemm(products) {}

  template <class T>
  T* scratch(int64_t count) {
    const size_t bytes = (static_cast<size_t>(count) * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    std::byte* part = base_ + used_;
    used_ += bytes;
    needed_ = std::max(needed_, used_);
    CHECK(dry || used_ <= size_);
    return reinterpret_cast<T*>(part);
  }
  void begin_node() { used_ = 0; }
  void set_scratch(std::byte* base, size_t size) { base_ = base, size_ = size; }
  size_t scratch_needed() const { return needed_; }

  const cudaStream_t stream;
  Gemm* const gemm;
  bool dry = false;
  bool row_invariant = false;  // the graph scores: a row's bits must not depend on how many rows there are

 private:
  std::byte* base_ = reinterpret_cast<std::byte*>(kAlignment);
  size_t size_ = 0, used_ = 0, needed_ = 0;
};

// kernel<<<grid, block, shared>>>(args...), unless dry; an empty grid launches nothing.
template <class... Params, class... Args>
void launch(Launch& l, void (*kernel)(Params...), dim3 grid, dim3 block, size_t shared, Args... args) {
  if (l.dry || grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  void* pointers[sizeof...(Params)];
  auto fill = [&](Params... typed) {  // cudaLaunchKernel wants addresses of arguments of exactly the parameters' types
    int i = 0;
    ((pointers[i++] = &typed), ...);
    SIXTEEN_CUDA_CHECK(cudaLaunchKernel(reinterpret_cast<const void*>(kernel), grid, block, pointers, shared, l.stream));
  };
  fill(args...);
}

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace sixteen::cuda
