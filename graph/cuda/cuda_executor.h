// Runs a planned graph on one card: the first run node by node, then captured as a CUDA graph and replayed.
//
// Bites: binding a value to another address drops the captured graph. One stream a card, so executors of a card run in the
// order of their run() calls. kF32 and kBF16 graphs; each node computes in the type of its activations.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "graph/cuda/gemm.h"
#include "graph/executor.h"

namespace sixteen::cuda {

// What a card's executors share.
struct Card {
  std::string name;
  cudaStream_t stream = nullptr;                          // of all runs
  cudaStream_t uploads = nullptr, downloads = nullptr;    // of transfers, beside the runs
  std::unique_ptr<Gemm> gemm;
  ~Card();
};

// Zeroed device memory; throws Error with the bytes wanted and free when there is too little.
Buffer card_allocate(const std::shared_ptr<Card>& card, size_t bytes);

class CudaExecutor : public Executor {
 public:
  CudaExecutor(std::shared_ptr<Card> card, Graph graph, Plan plan, Buffer arena);
  ~CudaExecutor() override;
  void bind(ValueId value, void* data) override;
  void run() override;
  void* data(ValueId value) override;
  std::vector<double> node_times_us(int repeats) override;
  // What the constructor will allocate for such a graph.
  static int64_t dry_scratch_bytes(std::shared_ptr<Card> card, const Graph& graph, const Plan& plan);

 private:
  CudaExecutor(std::shared_ptr<Card> card, Graph graph, Plan plan);  // has only run dry
  struct Call;  // one node with its pointers, see cuda_executor.cpp
  void place_temporaries(std::byte* arena);
  void run_nodes();
  void run_node(const Node& node);
  template <class T>
  void run_typed(const Node& node);
  void drop_captured();
  std::byte* address(ValueId value) const;

  std::shared_ptr<Card> card_;
  Graph graph_;
  Plan plan_;
  Buffer arena_, scratch_;
  Launch launch_;
  std::vector<std::byte*> address_;
  int runs_ = 0;  // since the last change of a binding
  cudaGraphExec_t captured_ = nullptr;
};

}  // namespace sixteen::cuda
