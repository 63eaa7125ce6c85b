// The sum of a step's gradients, taken up one fixed binary tree over its leaves (micro-batches, virtual ranks or sequences), so
// that one, two or four ranks that share the leaves get the same bits.
//
//   GradientTree tree(&session);
//   const LeafShare mine = tree.begin(leaves);                        // the same number on every rank
//   for (int64_t i = mine.first; i < mine.first + mine.count; ++i) {
//     session.submit_train(...);                                     // any number of passes make up a leaf
//     tree.add_leaf();
//   }
//   tree.all_reduce();                                               // session.grads() is the sum, on every rank
//
// A node over [begin, end) splits in the middle. A rank has the leaves of one node of depth log2(ranks), sums over ranks go up
// the rest (Communicator), which holds for numbers of ranks that are powers of two; with others the leaves are shared evenly,
// and the bits are those of that number of ranks alone. NCCL adds in its own order: equal runs have equal bits, other numbers
// of ranks do not.
// Bites: the sum is in the session's gradients (the hash table's too, where there is one), which add_leaf() takes away and
// zeroes before another leaf. One buffer of gradients a level: log2(leaves of a rank).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "model/rank_sum.h"
#include "model/session.h"

namespace sixteen {

class GradientTree {
 public:
  // Of rank `rank` of `ranks`; a rank may have none when there are fewer leaves than ranks.
  static LeafShare share(int64_t leaves, int rank, int ranks);

  // clip_norm: each leaf's own gradient is clipped to it, as PR 1584 does with each rank's (trap T5); 0: none. The mean of clipped
  // gradients is not the clipped mean: the optimiser behind it must not clip again. scale: of each leaf, after the clip.
  explicit GradientTree(Session* session, double clip_norm = 0, double scale = 1);
  ~GradientTree();

  void reserve(int64_t leaves);     // allocates what begin() would
  LeafShare begin(int64_t leaves);  // zeroes the gradients; this rank's leaves
  void begin_own(int64_t own);      // the same where the caller has shared them out: `own` leaves of this rank
  void add_leaf();                  // does not wait
  void all_reduce();                // after this rank's last leaf; does not wait. One rank: nothing
  double mean_norm();               // of this rank's leaves before clipping, 0 without clip_norm; waits

 private:
  struct Level;
  void reserve_own(int64_t own);
  std::unique_ptr<StepProgram> compile(Graph graph, ValueId norm, const std::vector<Buffer>& totals);

  Session* session_;
  double clip_norm_, scale_;
  std::vector<Buffer> grads_;           // the session's: flat, and the hash table's
  std::vector<int64_t> sizes_;
  std::vector<Level> levels_;           // sums that wait for their right neighbour
  std::vector<int> joins_;              // by leaf: how many waiting sums are added to it
  std::vector<std::unique_ptr<Transfer>> norms_;
  std::unique_ptr<StepProgram> clip_;
  Buffer one_;
  size_t added_ = 0, depth_ = 0;
};

}  // namespace sixteen
