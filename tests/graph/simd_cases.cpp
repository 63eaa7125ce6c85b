// See simd_cases.h. Compiled three times.
#include "tests/graph/simd_cases.h"

#include "graph/cpu/vecmath.h"

namespace sixteen::cpu::SIXTEEN_ISA {

namespace {

#define SIXTEEN_TEXT2(x) #x
#define SIXTEEN_TEXT(x) SIXTEEN_TEXT2(x)

template <Lanes<float> (*f)(Lanes<float>)>
void map(const float* x, float* y, int64_t n) {
  for (int64_t i = 0; i < n; i += kLanes) f(Lanes<float>::load(x + i)).store(y + i);
}

template <class T>
void operations(const T* pa, const T* pb, const T* pc, T* out) {
  using V = Lanes<T>;
  const V a = V::load(pa), b = V::load(pb), c = V::load(pc);
  const V one = V::all(T(1)), two = V::all(T(2));
  const V results[kSimdResults] = {
      a + b,
      a - b,
      a * b,
      a / b,
      -a,
      fma(a, b, c),
      fnma(a, b, c),
      sqrt(abs(a)),
      abs(a),
      max(a, b),
      min(a, b),
      select(a < b, one, two),
      select(a <= b, one, two),
      select(a == b, one, two),
      select((a < b) & (b < c), one, two),
      select((a < b) | (b < c), one, two),
      V::all(sum(a)),
      V::all(max_lane(a)),
      select(first<T>(5), a, b),
      V::zero(),
  };
  for (int i = 0; i < kSimdResults; ++i) results[i].store(out + i * kLanes);
}

void tail(const float* x, float* y, int64_t n, float* loaded) {
  const Lanes<float> part = Lanes<float>::load(x, n);
  part.store(y, n);
  part.store(loaded);
}

}  // namespace

const SimdCases& simd_cases() {
  static constexpr SimdCases table = {SIXTEEN_TEXT(SIXTEEN_ISA), map<exp>,           map<log>, map<tanh>, map<sigmoid>,
                                      operations<float>,         operations<double>, tail};
  return table;
}

}  // namespace sixteen::cpu::SIXTEEN_ISA
