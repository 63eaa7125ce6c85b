// Is one row better than another (legality D9, 4.8): Welch, paired, one-sample and permutation tests, in both units of the 0.005 nats
// and under both bars, the README's and the leaderboard's.
//
// Bites: 0.005 nats are nats a byte (0.00721 bits a byte) or nats a token (less, by the bytes of a token): the README does not say.
// Deviations are the sample's.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "model/console.h"

namespace sixteen {

// Bits a byte of each run. With seeds where they are known, else counted from 0 and not comparable one by one.
struct Runs {
  std::string name;
  std::vector<double> bpb;
  std::map<int64_t, double> by_seed;
};

// "1.0611,1.0609", a submission.json, a record folder (its logs' claims), or a file with a number a line. Throws Error when there is no number.
Runs read_runs(const std::string& source);

struct Significance {
  double delta = 0;  // threshold, bits a byte
  double welch_t = 0, welch_df = 0, welch_p = 1, paired_p = -1, one_sample_p = 1, permutation_p = -1;  // -1: not possible
  int64_t runs_needed = 0;  // a side for p < 0.01 with these deviations; 0: more than 1000
};
// That `now` is below `before` by more than delta. Both need two runs or more.
Significance compare(const Runs& now, const Runs& before, double delta);

// All of it in lines on the console, and as an object.
nlohmann::json report_significance(const Runs& now, const Runs& before, double bytes_per_token, const Console& console);

}  // namespace sixteen
