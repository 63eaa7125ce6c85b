// The choice of the instruction set (isa.h): what the machine has, SIXTEEN_ISA, and set_isa() for tests.
//
// Bites: a wrong SIXTEEN_ISA is an error of the user's, reported from the first kernel call, not at program start.
#include "graph/cpu/isa.h"

#include <atomic>
#include <cstdlib>
#include <string_view>

#include "formats/error.h"
#include "graph/cpu/gemm.h"

namespace sixteen::cpu {

namespace {

constexpr const char* kNames[] = {"plain", "avx2", "avx512"};

Isa best_isa() {
#if defined(__x86_64__)
  // AVX-512 as of Skylake-X: every CPU with F has DQ, BW and VL, except the Xeon Phi.
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma")) {
    return Isa::kAvx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Isa::kAvx2;
#endif
  return Isa::kPlain;
}

// Index of the name, or -1.
int find_isa(std::string_view name) {
  for (int i = 0; i < 3; ++i) {
    if (name == kNames[i]) return i;
  }
  return -1;
}

Isa initial_isa() {
  const char* wanted = std::getenv("SIXTEEN_ISA");
  if (wanted == nullptr || *wanted == '\0') return best_isa();
  const int index = find_isa(wanted);
  if (index < 0) fail("SIXTEEN_ISA: expected plain, avx2 or avx512, found '", wanted, "'");
  if (index > static_cast<int>(best_isa())) {
    fail("SIXTEEN_ISA=", wanted, ": this machine has no more than ", kNames[static_cast<int>(best_isa())],
         "; unset it or ask for less");
  }
  return static_cast<Isa>(index);
}

std::atomic<Isa>& current() {
  static std::atomic<Isa> value{initial_isa()};
  return value;
}

}  // namespace

Isa isa() { return current().load(std::memory_order_relaxed); }

const char* isa_name() { return kNames[static_cast<int>(isa())]; }

bool set_isa(const char* name) {
  const int index = find_isa(name);
  if (index < 0 || index > static_cast<int>(best_isa())) return false;
  current().store(static_cast<Isa>(index), std::memory_order_relaxed);
  return true;
}

}  // namespace sixteen::cpu
