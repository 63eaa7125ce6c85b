// CHECK: a condition that only a bug in this program can break. Always on, in release builds too; prints and aborts.
#pragma once

#include <cstdio>
#include <cstdlib>

#define CHECK(condition)                                                                                   \
  do {                                                                                                     \
    if (!(condition)) {                                                                                    \
      std::fprintf(stderr, "%s:%d: CHECK failed: %s (a bug in sixteen)\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                                        \
    }                                                                                                      \
  } while (0)
