// GradientTree: the same bits from one, two and four ranks, whatever the number of leaves; clipped leaves; hash tables.
#include "model/gradient_tree.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "tests/support/ranks.h"
#include "tests/support/tiny_model.h"

namespace sixteen {
namespace {

using testing::Ranks;
using testing::require;

constexpr int64_t kSeq = 8;

// Gradients of both buffers after a sum over `leaves` windows of one text, one a leaf.
struct Sums {
  std::vector<float> flat, hash;
  double norm = 0;
};

Sums sums_of(std::shared_ptr<World> world, int64_t leaves, double clip_norm = 0, double scale = 1) {
  const ModelConfig config = testing::tiny_config();
  const ParamStore store = testing::tiny_store(config);
  Session session(make_device("cpu", 1, std::move(world)), config, store.table);
  session.set_weights(store);
  session.enable_hash({.buckets = 32, .multiplier = 2039});
  const std::vector<uint16_t> tokens = testing::tiny_tokens(leaves * kSeq + 1);
  GradientTree tree(&session, clip_norm, scale);
  const LeafShare mine = tree.begin(leaves);
  const std::vector<float> weight(kSeq, 1.0f / kSeq);
  for (int64_t leaf = mine.first; leaf < mine.first + mine.count; ++leaf) {
    const auto at = tokens.begin() + leaf * kSeq;
    session.train(std::vector<int32_t>(at, at + kSeq), std::vector<int32_t>(at + 1, at + kSeq + 1), weight, 1, kSeq, true);
    tree.add_leaf();
  }
  tree.all_reduce();
  Sums sums{.flat = std::vector<float>(static_cast<size_t>(store.table->flat_size())),
            .hash = std::vector<float>(static_cast<size_t>(32 * config.dim)),
            .norm = tree.mean_norm()};
  session.device().download(sums.flat.data(), session.grads().data(), sums.flat.size() * sizeof(float));
  session.device().download(sums.hash.data(), session.hash_grads().data(), sums.hash.size() * sizeof(float));
  return sums;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

double norm_of(const Sums& sums) {
  double squares = 0;
  for (const auto* part : {&sums.flat, &sums.hash}) {
    for (const float x : *part) squares += static_cast<double>(x) * x;
  }
  return std::sqrt(squares);
}

TEST(GradientTree, SharesCoverTheLeavesInOrder) {
  for (const int ranks : {1, 2, 3, 4, 6, 8}) {
    for (const int64_t leaves : {0, 1, 2, 5, 8, 15, 32}) {
      int64_t next = 0;
      for (int r = 0; r < ranks; ++r) {
        const LeafShare share = GradientTree::share(leaves, r, ranks);
        EXPECT_EQ(share.first, next) << leaves << " leaves, rank " << r << " of " << ranks;
        EXPECT_LE(share.count, leaves / ranks + 1);
        next += share.count;
      }
      EXPECT_EQ(next, leaves);
    }
  }
}

class GradientTreeOfRanks : public Ranks {};

// Any number of leaves, fewer than ranks too; what one rank finds is computed in the ranks themselves, alone.
TEST_F(GradientTreeOfRanks, OneTwoAndFourGiveTheSameBits) {
  for (const int ranks : {2, 4}) {
    start_worlds(ranks, [](const std::shared_ptr<World>& world) {
      for (const int64_t leaves : {1, 3, 4, 7}) {
        for (const double clip_norm : {0.0, 0.01}) {
          const Sums alone = sums_of(nullptr, leaves, clip_norm, 0.5), shared = sums_of(world, leaves, clip_norm, 0.5);
          const std::string what = std::to_string(leaves) + " leaves, clip " + std::to_string(clip_norm);
          require(norm_of(alone) > 1e-3, what + ": no gradient");
          require(same_bits(alone.flat, shared.flat), what + ": weights' gradients differ");
          require(same_bits(alone.hash, shared.hash), what + ": hash table's gradients differ");
        }
      }
    });
    for (int r = 0; r < ranks; ++r) expect_good(r);
    clear();
  }
}

// One leaf's norm is what the clip makes of it; a sum of several leaves is no longer than the sum of their bounds.
TEST(GradientTree, ClipsEveryLeafOnItsOwn) {
  const Sums plain = sums_of(nullptr, 1), clipped = sums_of(nullptr, 1, 0.01, 0.5), three = sums_of(nullptr, 3, 0.01);
  EXPECT_GT(norm_of(plain), 0.01);
  EXPECT_NEAR(clipped.norm, norm_of(plain), 1e-5 * norm_of(plain));  // fp32 sums of squares against fp64
  EXPECT_NEAR(norm_of(clipped), 0.5 * 0.01, 1e-5 * 0.01);
  EXPECT_LE(norm_of(three), 3 * 0.01 * (1 + 1e-5));
  EXPECT_GT(norm_of(three), 0.01);
}

}  // namespace
}  // namespace sixteen
