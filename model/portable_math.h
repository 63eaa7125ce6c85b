// exp, log, cos and sin in fp64 with the same bits on every machine: of + - * / and bit operations alone, in a fixed order. The C
// library's differ in their last bit from one version to the next, which is enough to break a proof by decoding.
//
// Errors, against the C library's (tests/model/portable_math_test.cpp): below 1e-15 of the result for exp and log, 1e-15 for cos and sin.
// Bites: cos and sin lose precision beyond |x| = 2^20, a bit each time x doubles; log is for positive, normal numbers alone; exp(x) is 0
// below -700 and for x up to 700.
#pragma once

namespace sixteen {

double portable_exp(double x);
double portable_log(double x);
double portable_cos(double x);
double portable_sin(double x);

// base^exponent, base > 0: exp(exponent log(base)).
inline double portable_pow(double base, double exponent) { return portable_exp(exponent * portable_log(base)); }

}  // namespace sixteen
