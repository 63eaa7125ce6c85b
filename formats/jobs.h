// Independent jobs on several threads: the coding of an artifact's streams. (The engine's thread pool is graph/cpu/threads.h,
// a layer above; it is made for microseconds, this for milliseconds and more.)
//
// Bites: jobs must not share what they write. When some throw, the caller gets the exception of the first in order,
// whatever the number of threads; the others are run all the same.
#pragma once

#include <cstddef>
#include <functional>

namespace sixteen {

// Calls job(0) ... job(count - 1), each once, and returns when all are done. threads = 0: SIXTEEN_THREADS if set, else all
// cores.
void run_jobs(size_t count, int threads, const std::function<void(size_t)>& job);

}  // namespace sixteen
