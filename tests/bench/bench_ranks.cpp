// Collectives between the ranks of a run: first that their sums are exact, then how long they take.
//
//   bench_ranks collectives --device cuda --gpus 2            (or under torchrun, mpirun, srun; --device cpu: sockets)
// A line a size: microseconds of reduce-scatter, all-gather and all-reduce, the mean of many behind each other, and the rate of
// the first: bytes a rank sends a second. The cost model of docs/DESIGN.md is made of these.
// Bites: rank 0 prints. Sums are of small integers, exact in bf16 as well, so every rank and order must find the same.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstring>
#include <memory>
#include <vector>

#include "formats/dtype.h"
#include "formats/error.h"
#include "graph/executor.h"
#include "model/launcher.h"
#include "model/process_clock.h"

namespace sixteen {
namespace {

struct Options {
  std::string device = "cuda";
  int gpus = 0;
  Console console;
};

float element(int rank, int64_t i) { return static_cast<float>((i * 7 + rank * 3) % 23 - 11); }

float sum_over_ranks(int ranks, int64_t i) {
  float sum = 0;
  for (int r = 0; r < ranks; ++r) sum += element(r, i);
  return sum;
}

std::vector<std::byte> packed(const std::vector<float>& values, DType dtype) {
  std::vector<std::byte> bytes(values.size() * dtype_bytes(dtype));
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t narrow = float_to_bf16(values[i]);
    if (dtype == DType::kF32) std::memcpy(&bytes[4 * i], &values[i], 4);
    else std::memcpy(&bytes[2 * i], &narrow, 2);
  }
  return bytes;
}

void expect(Device& device, const Buffer& found, const std::vector<float>& expected, DType dtype, const std::string& what) {
  const std::vector<std::byte> wanted = packed(expected, dtype);
  std::vector<std::byte> bytes(wanted.size());
  device.download(bytes.data(), found.data(), bytes.size());
  if (std::memcmp(bytes.data(), wanted.data(), bytes.size()) != 0) fail("rank ", device.ranks().rank(), ": ", what, ": a sum is wrong");
}

void check(Device& device, int64_t count, DType dtype) {
  Communicator& ranks = device.ranks();
  const int64_t all = count * ranks.size();
  std::vector<float> mine, sums, own;
  for (int64_t i = 0; i < all; ++i) {
    mine.push_back(element(ranks.rank(), i));
    sums.push_back(sum_over_ranks(ranks.size(), i));
  }
  own.assign(sums.begin() + ranks.rank() * count, sums.begin() + (ranks.rank() + 1) * count);
  const auto allocate = [&](int64_t n) { return device.allocate(static_cast<size_t>(n) * dtype_bytes(dtype)); };
  const Buffer x = allocate(all), y = allocate(count), z = allocate(all);
  const std::vector<std::byte> bytes = packed(mine, dtype);
  device.upload(x.data(), bytes.data(), bytes.size());
  const std::string what = std::to_string(count) + (dtype == DType::kF32 ? " fp32" : " bf16");
  ranks.wait(ranks.reduce_scatter(x.data(), y.data(), count, dtype));
  expect(device, y, own, dtype, "reduce_scatter " + what);
  ranks.wait(ranks.all_gather(y.data(), z.data(), count, dtype));
  expect(device, z, sums, dtype, "all_gather " + what);
  ranks.wait(ranks.all_reduce(x.data(), all, dtype));
  expect(device, x, sums, dtype, "all_reduce " + what);
}

template <class F>
double microseconds(Device& device, const Buffer& any, int repeats, F start) {
  Communicator& ranks = device.ranks();
  float value = 0;
  std::chrono::steady_clock::time_point begin;
  for (int i = -3; i < repeats; ++i) {
    if (i == 0) {
      device.download(&value, any.data(), sizeof value);
      ranks.barrier();
      begin = std::chrono::steady_clock::now();
    }
    ranks.wait(start());
  }
  device.download(&value, any.data(), sizeof value);
  return 1e6 * seconds_since(begin) / repeats;
}

void time(Device& device, int64_t bytes, const Console& console) {
  Communicator& ranks = device.ranks();
  const int repeats = bytes < 1 << 20 ? 200 : 30;
  const int64_t count = bytes / 2 / ranks.size();  // bf16 elements of a rank
  const Buffer x = device.allocate(static_cast<size_t>(bytes)), y = device.allocate(static_cast<size_t>(bytes));
  const double scatter = microseconds(device, x, repeats, [&] { return ranks.reduce_scatter(x.data(), y.data(), count, DType::kBF16); });
  const double gather = microseconds(device, x, repeats, [&] { return ranks.all_gather(y.data(), x.data(), count, DType::kBF16); });
  const double reduce = microseconds(device, x, repeats, [&] { return ranks.all_reduce(x.data(), count * ranks.size(), DType::kBF16); });
  const double sent = static_cast<double>(bytes) * (ranks.size() - 1) / ranks.size();
  console.say(bytes, " bytes: reduce-scatter ", scatter, " us, all-gather ", gather, " us, all-reduce ", reduce, " us; ",
              format_count(sent / scatter * 1e6), "B/s");
}

void collectives(Options& o) {
  const std::shared_ptr<World> world = launch_or_join(o.gpus, &o.console);
  if (world == nullptr) throw UsageError("collectives need ranks: --gpus 2 or more");
  const std::unique_ptr<Device> device = make_device(o.device, 0, world);
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    for (const int64_t count : {1, 5, 1000, 300001}) check(*device, count, dtype);
  }
  o.console.say(device->name(), ", ", world->size(), " ranks: all sums are exact");
  for (const int64_t mib : {0, 1, 16, 64, 256}) {
    if (o.device == "cpu" && mib > 1) break;  // sockets: seconds
    time(*device, mib == 0 ? 4096 : mib << 20, o.console);
  }
  device->ranks().barrier();
}

}  // namespace
}  // namespace sixteen

// Without arguments two ranks of the CPU, as `make bench` calls it.
int main(int argc, char** argv) {
  const char* defaults[] = {argv[0], "collectives", "--device", "cpu", "--gpus", "2"};
  if (argc == 1) {
    argc = 6;
    argv = const_cast<char**>(defaults);
  }
  return sixteen::run_main("bench_ranks", "collectives between ranks", argc, argv, [](CLI::App& app) {
    auto o = std::make_shared<sixteen::Options>();
    CLI::App* c = app.add_subcommand("collectives", "Check and time them");
    sixteen::add_console_options(*c, &o->console);
    sixteen::add_gpus_option(*c, &o->gpus);
    c->add_option("--device", o->device, "cpu or cuda")->capture_default_str();
    c->callback([o] { sixteen::collectives(*o); });
  });
}
