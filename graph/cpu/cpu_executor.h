// Runs a planned graph on the CPU, one kernel call a node.
//
// Bites: Shape checks were the builder's; here only bindings are checked. The templates' T is the graph's dtype.
#pragma once

#include <vector>

#include "graph/cpu/threads.h"
#include "graph/executor.h"

namespace sixteen::cpu {

class CpuExecutor : public Executor {
 public:
  CpuExecutor(std::shared_ptr<ThreadPool> pool, std::shared_ptr<Communicator> ranks, Graph graph, Plan plan, Buffer arena);
  void bind(ValueId value, void* data) override;
  void run() override;
  void* data(ValueId value) override;
  std::vector<double> node_times_us(int repeats) override;

 private:
  struct Call;  // one node with its pointers, see cpu_executor.cpp
  template <class T>
  void run_node(const Node& node);
  void run_any(const Node& node);

  std::shared_ptr<ThreadPool> pool_;
  std::shared_ptr<Communicator> ranks_;
  Graph graph_;
  Plan plan_;
  Buffer arena_;
  std::vector<std::byte*> address_;  // of every value; views once their base is bound
};

}  // namespace sixteen::cpu
