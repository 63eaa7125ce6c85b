// See rank_shares.h.
#include "evaluator/rank_shares.h"

#include <algorithm>

#include "formats/check.h"

namespace sixteen {
namespace {

size_t losses_of(std::span<const Window> windows) {
  int64_t losses = 0;
  for (const Window& window : windows) losses += window.scored;
  return static_cast<size_t>(losses);
}

}  // namespace

std::span<const Window> share_of(std::span<const Window> windows, int rank, int ranks) {
  const size_t count = windows.size(), r = static_cast<size_t>(rank), n = static_cast<size_t>(ranks);
  const size_t begin = count * r / n, end = count * (r + 1) / n;
  return windows.subspan(begin, end - begin);
}

std::vector<float> gather_losses(Communicator& ranks, std::span<const Window> windows, std::vector<float> mine) {
  // uncounted: begin
  if (ranks.size() > 1) {
    std::vector<float> all;
    std::vector<size_t> losses;  // by rank
    for (int r = 0; r < ranks.size(); ++r) losses.push_back(losses_of(share_of(windows, r, ranks.size())));
    CHECK(mine.size() == losses[static_cast<size_t>(ranks.rank())]);
    const size_t most = *std::ranges::max_element(losses);
    mine.resize(most);
    std::vector<float> padded(most * losses.size());
    ranks.all_gather_host(mine.data(), padded.data(), most * sizeof(float));
    for (size_t r = 0; r < losses.size(); ++r) {
      const auto begin = padded.begin() + static_cast<std::ptrdiff_t>(r * most);
      all.insert(all.end(), begin, begin + static_cast<std::ptrdiff_t>(losses[r]));
    }
    return all;
  }
  // uncounted: end
  CHECK(ranks.size() == 1 && mine.size() == losses_of(windows));
  return mine;
}

}  // namespace sixteen
