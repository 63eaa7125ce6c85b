// One table of cases for all ops: what op_test.cpp runs on the CPU, what any further backend must pass too.
//
// A case builds a small graph through a CaseBuilder, which remembers what to bind, what comes out and what is differentiated.
// Values are random, representable in fp32, never 0, and depend on (name, element, window) alone: so the graph of windows
// [2, 5) is bound to exactly those rows of the graph of windows [0, 5).
// Bites: a build function may run twice on one CaseBuilder (so that gradients are added up); names that exist are reused.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "graph/builder.h"
#include "graph/executor.h"

namespace sixteen::testing {

struct WindowRange {
  int64_t first, count;
};

struct CaseGraph {
  struct Result {
    std::string name;
    ValueId id;
    bool per_window;  // its memory is one part a window, in order
  };
  struct Term {
    ValueId value, weight;
  };
  struct Gradient {
    ValueId of;
    std::string result;  // of Result::name
    std::string name;    // of the differentiated value
  };
  Graph graph;
  WindowRange windows;
  std::map<ValueId, std::vector<double>> bound;
  std::vector<Result> results;      // outputs, states, gradients
  std::vector<Term> objective;      // sum of value . weight: what the gradients are gradients of
  std::vector<Gradient> gradients;  // gradient states hold their initial value (in `bound`) plus the gradient
};

class CaseBuilder {
 public:
  CaseBuilder(DType dtype, WindowRange windows, bool with_gradients);

  Builder b;

  // Bound values. Magnitudes in [0.1, 1.1) with random signs, or uniform in [low, high).
  ValueId rows(const std::string& name, int64_t rows_per_window, int64_t width);        // differentiated, [R, width]
  ValueId given_rows(const std::string& name, int64_t rows_per_window, int64_t width);  // not differentiated; width 0: [R]
  ValueId ids(const std::string& name, int64_t rows_per_window, int64_t below);
  ValueId weight(const std::string& name, Shape shape);    // differentiated; a matrix or table, bf16 in a bf16 graph
  ValueId channels(const std::string& name, Shape shape);  // differentiated; parameters of channels, fp32 in a bf16 graph
  ValueId table(const std::string& name, Shape shape);     // a matrix that is not differentiated
  ValueId state(const std::string& name, Shape shape);
  ValueId state(const std::string& name, Shape shape, DType dtype);
  ValueId state(const std::string& name, Shape shape, double low, double high);
  ValueId constant(const std::string& name, Shape shape, double low, double high);
  ValueId constant(const std::string& name, Shape shape, const std::function<double(int64_t)>& value);

  // What the case computes; `differentiate` seeds it with a random gradient.
  void output(ValueId y, bool differentiate);  // one part a window
  void whole(ValueId y, bool differentiate);   // all rows together
  // The gradient of the objective with respect to `x` is `dx`, and the objective has the term value . weight.
  void seeded(ValueId x, ValueId dx, ValueId value, ValueId weight);

  CaseGraph finish();

 private:
  ValueId weight(const std::string& name, Shape shape, DType dtype);
  ValueId remember(const std::string& name, ValueId id, int64_t first_element, const std::function<double(int64_t)>& value);
  ValueId remember_random(const std::string& name, ValueId id, int64_t first_element);
  void result(ValueId y, bool per_window, bool differentiate);

  WindowRange windows_;
  bool with_gradients_;
  std::map<std::string, ValueId> names_;
  std::vector<ValueId> wanted_;
  std::vector<std::pair<ValueId, ValueId>> seeds_;
  std::vector<ValueId> states_, weights_;
  CaseGraph case_;
};

struct OpCase {
  std::string name;  // op, then what is special: letters, digits and _ only
  int64_t windows;
  std::function<void(CaseBuilder&)> build;
  double tolerance = 3e-6;  // fp32 against fp64, of the result's largest entry: some roundings of 6e-8 each
};

const std::vector<OpCase>& op_cases();
const std::vector<OpCase>& optim_cases();  // part of op_cases(); in a file of their own

// repeat 2: the build function runs twice, so that every gradient but the first is added.
CaseGraph build_case(const OpCase& op_case, DType dtype, WindowRange windows, bool with_gradients, int repeat = 1);

// Values as they lie in memory.
std::vector<std::byte> to_bytes(const std::vector<double>& values, DType dtype);
std::vector<double> from_bytes(const std::vector<std::byte>& bytes, DType dtype);

// Runs it on a device; results by name, as doubles (exact for fp32 and int32).
std::map<std::string, std::vector<double>> run_case(const CaseGraph& c, Device& device);

}  // namespace sixteen::testing
