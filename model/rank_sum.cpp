// See rank_sum.h.
#include "model/rank_sum.h"

#include <algorithm>
#include <bit>
#include <string>

#include "formats/check.h"
#include "model/step_program.h"

namespace sixteen {
namespace {

int64_t power_of_two_within(int64_t most) {
  CHECK(most >= 1);
  return static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(most)));
}

int workers_of(int64_t leaves, int ranks) {
  return static_cast<int>(power_of_two_within(std::min<int64_t>(leaves, ranks)));
}

// uncounted: begin
std::string all_name(size_t part) { return "all" + std::to_string(part); }
std::string sum_name(size_t part) { return "sum" + std::to_string(part); }
// uncounted: end

}  // namespace

int64_t sum_leaves(int64_t count, int64_t most) { return power_of_two_within(std::min(count, most)); }

LeafShare leaf_share(int64_t leaves, int rank, int ranks) {
  CHECK(leaves == power_of_two_within(leaves) && rank >= 0 && rank < ranks);
  const int64_t workers = workers_of(leaves, ranks), each = leaves / workers;
  return rank < workers ? LeafShare{rank * each, each} : LeafShare{};
}

RankSum::RankSum(Device* device, std::vector<Part> parts) : device_(device), parts_(std::move(parts)) {}
RankSum::~RankSum() = default;

// uncounted: begin
// Adds up the workers' copies in place, then takes the first as the sum.
StepProgram& RankSum::program(int workers) {
  std::unique_ptr<StepProgram>& slot = programs_[workers];
  if (slot != nullptr) return *slot;
  if (one_.data() == nullptr) {
    const float one = 1;
    one_ = device_->allocate(sizeof one);
    device_->upload(one_.data(), &one, sizeof one);
  }
  const int64_t ranks = device_->ranks().size();
  Builder b;
  const ValueId one = b.input("one", {1});
  std::vector<std::pair<std::string, Buffer>> bindings{{"one", one_}};
  for (size_t p = 0; p < parts_.size(); ++p) {
    const Shape shape{parts_[p].count};
    const ValueId all = b.state(all_name(p), {ranks * parts_[p].count});
    const auto copy = [&](int rank) { return b.view(all, rank * parts_[p].count, shape); };
    for (int apart = 1; apart < workers; apart *= 2) {
      for (int r = 0; r + apart < workers; r += 2 * apart) b.add_scaled_by(copy(r), copy(r + apart), one, 1);
    }
    b.cast(b.state(sum_name(p), shape), copy(0));
    bindings.emplace_back(all_name(p), gathered_[p]);
    bindings.emplace_back(sum_name(p), parts_[p].buffer);
  }
  slot = std::make_unique<StepProgram>(device_, b.finish(), kNoValue, bindings);
  return *slot;
}
// uncounted: end

void RankSum::run(int64_t leaves) {
  Communicator& ranks = device_->ranks();
  if (ranks.size() == 1) return;
  // uncounted: begin
  const int workers = workers_of(leaves, ranks.size());
  const bool reduces = workers == 2 && ranks.size() == 2;
  std::vector<Communicator::Ticket> tickets;
  for (size_t p = 0; p < parts_.size(); ++p) {
    const auto& [buffer, count] = parts_[p];
    if (reduces) {
      tickets.push_back(ranks.all_reduce(buffer.data(), count, DType::kF32));
      continue;
    }
    if (gathered_.size() == p)
      gathered_.push_back(device_->allocate(static_cast<size_t>(ranks.size() * count) * sizeof(float)));
    tickets.push_back(ranks.all_gather(buffer.data(), gathered_[p].data(), count, DType::kF32));
  }
  for (const Communicator::Ticket ticket : tickets) ranks.wait(ticket);
  if (!reduces) program(workers).enqueue();
  // uncounted: end
}

}  // namespace sixteen
