// CaseBuilder and the running of cases (op_cases.h).
#include <cmath>
#include <cstring>

#include "formats/check.h"
#include "formats/dtype.h"
#include "tests/graph/op_cases.h"

namespace sixteen::testing {

namespace {

// Uniform in [0, 1), a function of name and index alone.
double uniform(const std::string& name, uint64_t index) {
  uint64_t hash = 1469598103934665603u;
  for (char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  uint64_t z = hash + (index + 1) * 0x9e3779b97f4a7c15u;  // splitmix64
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  z ^= z >> 31;
  return static_cast<double>(z >> 11) * 0x1p-53;
}

double signed_value(const std::string& name, int64_t index) {
  const double u = 2 * uniform(name, static_cast<uint64_t>(index)) - 1;
  return u < 0 ? u - 0.1 : u + 0.1;
}

template <class T>
std::vector<std::byte> cast_bytes(const std::vector<double>& values) {
  const std::vector<T> typed(values.begin(), values.end());
  std::vector<std::byte> bytes(typed.size() * sizeof(T));
  std::memcpy(bytes.data(), typed.data(), bytes.size());
  return bytes;
}

template <class T>
std::vector<double> cast_values(const std::vector<std::byte>& bytes) {
  std::vector<T> typed(bytes.size() / sizeof(T));
  std::memcpy(typed.data(), bytes.data(), bytes.size());
  return std::vector<double>(typed.begin(), typed.end());
}

}  // namespace

CaseBuilder::CaseBuilder(DType dtype, WindowRange windows, bool with_gradients)
    : b(dtype), windows_(windows), with_gradients_(with_gradients) {}

ValueId CaseBuilder::remember(const std::string& name, ValueId id, int64_t first_element,
                              const std::function<double(int64_t)>& value) {
  std::vector<double>& data = case_.bound[id];
  data.resize(static_cast<size_t>(b.graph().value(id).shape.numel()));
  for (size_t i = 0; i < data.size(); ++i) {
    const float x = static_cast<float>(value(first_element + static_cast<int64_t>(i)));
    data[i] = b.graph().value(id).dtype == DType::kBF16 ? round_to_bf16(x) : x;
  }
  return names_[name] = id;
}

ValueId CaseBuilder::remember_random(const std::string& name, ValueId id, int64_t first_element) {
  return remember(name, id, first_element, [&](int64_t i) { return signed_value(name, i); });
}

ValueId CaseBuilder::rows(const std::string& name, int64_t rows_per_window, int64_t width) {
  if (names_.count(name) != 0) return names_[name];
  const ValueId id = given_rows(name, rows_per_window, width);
  wanted_.push_back(id);
  return id;
}

ValueId CaseBuilder::given_rows(const std::string& name, int64_t rows_per_window, int64_t width) {
  if (names_.count(name) != 0) return names_[name];
  const int64_t count = windows_.count * rows_per_window;
  const ValueId id = width == 0 ? b.input(name, {count}) : b.input(name, {count, width}, b.graph().dtype());
  return remember_random(name, id, windows_.first * rows_per_window * std::max<int64_t>(1, width));
}

ValueId CaseBuilder::ids(const std::string& name, int64_t rows_per_window, int64_t below) {
  if (names_.count(name) != 0) return names_[name];
  const ValueId id = b.input_ids(name, {windows_.count * rows_per_window});
  return remember(name, id, windows_.first * rows_per_window,
                  [&](int64_t i) { return std::floor(uniform(name, static_cast<uint64_t>(i)) * static_cast<double>(below)); });
}

ValueId CaseBuilder::weight(const std::string& name, Shape shape) { return weight(name, shape, b.graph().dtype()); }

ValueId CaseBuilder::channels(const std::string& name, Shape shape) {
  return weight(name, shape, b.graph().dtype() == DType::kBF16 ? DType::kF32 : b.graph().dtype());
}

ValueId CaseBuilder::weight(const std::string& name, Shape shape, DType dtype) {
  if (names_.count(name) != 0) return names_[name];
  const ValueId gradient = with_gradients_ ? state("grad." + name, shape) : kNoValue;
  const ValueId id = b.weight(name, shape, gradient, dtype);
  weights_.push_back(id);
  return remember_random(name, id, 0);
}

ValueId CaseBuilder::table(const std::string& name, Shape shape) {
  if (names_.count(name) != 0) return names_[name];
  return remember_random(name, b.input(name, shape, b.graph().dtype()), 0);
}

ValueId CaseBuilder::state(const std::string& name, Shape shape) {
  if (names_.count(name) != 0) return names_[name];
  states_.push_back(b.state(name, shape));
  return remember_random(name, states_.back(), 0);
}

ValueId CaseBuilder::state(const std::string& name, Shape shape, DType dtype) {
  if (names_.count(name) != 0) return names_[name];
  states_.push_back(b.state(name, shape, dtype));
  return remember_random(name, states_.back(), 0);
}

ValueId CaseBuilder::state(const std::string& name, Shape shape, double low, double high) {
  if (names_.count(name) != 0) return names_[name];
  states_.push_back(b.state(name, shape));
  return remember(name, states_.back(), 0,
                  [&](int64_t i) { return low + (high - low) * uniform(name, static_cast<uint64_t>(i)); });
}

ValueId CaseBuilder::constant(const std::string& name, Shape shape, double low, double high) {
  return constant(name, shape,
                  [&](int64_t i) { return low + (high - low) * uniform(name, static_cast<uint64_t>(i)); });
}

ValueId CaseBuilder::constant(const std::string& name, Shape shape, const std::function<double(int64_t)>& value) {
  if (names_.count(name) != 0) return names_[name];
  return remember(name, b.input(name, shape), 0, value);
}

void CaseBuilder::output(ValueId y, bool differentiate) { result(y, true, differentiate); }

void CaseBuilder::whole(ValueId y, bool differentiate) { result(y, false, differentiate); }

void CaseBuilder::result(ValueId y, bool per_window, bool differentiate) {
  b.mark_output(y);
  const std::string index = std::to_string(case_.results.size());
  case_.results.push_back({"out." + index, y, per_window});
  if (!differentiate) return;
  const Shape shape = b.graph().value(y).shape;
  const int64_t first = per_window ? windows_.first * (shape.numel() / windows_.count) : 0;
  const ValueId dy = remember_random("dy." + index, b.input("dy." + index, shape, b.graph().value(y).dtype), first);
  seeded(y, dy, y, dy);
}

void CaseBuilder::seeded(ValueId x, ValueId dx, ValueId value, ValueId weight_value) {
  seeds_.push_back({x, dx});
  case_.objective.push_back({value, weight_value});
}

CaseGraph CaseBuilder::finish() {
  const auto name_of = [&](ValueId id) { return b.graph().value(id).name; };
  if (with_gradients_ && !seeds_.empty()) {
    const std::vector<ValueId> gradients = b.backward(seeds_, wanted_);
    for (size_t i = 0; i < wanted_.size(); ++i) {
      CHECK(gradients[i] != kNoValue);  // a case declares with rows() only what it differentiates
      const std::string name = "grad." + name_of(wanted_[i]);
      case_.results.push_back({name, gradients[i], true});
      case_.gradients.push_back({wanted_[i], name, name_of(wanted_[i])});
    }
    for (ValueId id : weights_) case_.gradients.push_back({id, "grad." + name_of(id), name_of(id)});
  }
  for (ValueId id : states_) case_.results.push_back({name_of(id), id, false});
  case_.windows = windows_;
  case_.graph = b.finish();
  return std::move(case_);
}

CaseGraph build_case(const OpCase& op_case, DType dtype, WindowRange windows, bool with_gradients, int repeat) {
  CaseBuilder builder(dtype, windows, with_gradients);
  for (int i = 0; i < repeat; ++i) op_case.build(builder);
  return builder.finish();
}

std::vector<std::byte> to_bytes(const std::vector<double>& values, DType dtype) {
  if (dtype == DType::kI32) return cast_bytes<int32_t>(values);
  if (dtype == DType::kF64) return cast_bytes<double>(values);
  if (dtype == DType::kF32) return cast_bytes<float>(values);
  CHECK(dtype == DType::kBF16);
  std::vector<std::byte> bytes(values.size() * 2);
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t bits = float_to_bf16(static_cast<float>(values[i]));
    std::memcpy(bytes.data() + 2 * i, &bits, 2);
  }
  return bytes;
}

std::vector<double> from_bytes(const std::vector<std::byte>& bytes, DType dtype) {
  if (dtype == DType::kI32) return cast_values<int32_t>(bytes);
  if (dtype == DType::kF64) return cast_values<double>(bytes);
  if (dtype == DType::kF32) return cast_values<float>(bytes);
  CHECK(dtype == DType::kBF16);
  std::vector<double> values(bytes.size() / 2);
  for (size_t i = 0; i < values.size(); ++i) {
    uint16_t bits = 0;
    std::memcpy(&bits, bytes.data() + 2 * i, 2);
    values[i] = bf16_to_float(bits);
  }
  return values;
}

std::map<std::string, std::vector<double>> run_case(const CaseGraph& c, Device& device) {
  const Plan plan = plan_memory(c.graph);
  const std::unique_ptr<Executor> executor =
      device.compile(c.graph, plan, device.allocate(static_cast<size_t>(plan.arena_bytes)));
  std::vector<Buffer> buffers;
  for (const auto& [id, values] : c.bound) {
    const std::vector<std::byte> bytes = to_bytes(values, c.graph.value(id).dtype);
    buffers.push_back(device.allocate(bytes.size()));
    device.upload(buffers.back().data(), bytes.data(), bytes.size());
    executor->bind(id, buffers.back().data());
  }
  executor->run();
  std::map<std::string, std::vector<double>> results;
  for (const CaseGraph::Result& r : c.results) {
    const Value& value = c.graph.value(r.id);
    std::vector<std::byte> bytes(static_cast<size_t>(value.shape.numel()) * dtype_bytes(value.dtype));
    device.download(bytes.data(), executor->data(r.id), bytes.size());
    results[r.name] = from_bytes(bytes, value.dtype);
  }
  return results;
}

}  // namespace sixteen::testing
