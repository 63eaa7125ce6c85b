// See place.h.
#include "graph/place.h"

#include <charconv>
#include <cstdlib>
#include <cstring>

#include "formats/error.h"

namespace sixteen {
namespace {



class Reader {
 public:
  explicit Reader(const Environment& environment) : environment_(environment) {}

  bool has(const char* name) const { return text(name) != nullptr; }
  const char* text(const char* name) const {
    const char* value = environment_(name);
    return value != nullptr && *value != 0 ? value : nullptr;
  }
  int number(const char* name, int lowest, int highest) const {
    const char* value = text(name);
    int result = 0;
    if (value != nullptr) {
      const char* end = value + std::strlen(value);
      const auto [stop, error] = std::from_chars(value, end, result);
      if (error == std::errc() && stop == end && result >= lowest && result <= highest) return result;
    }
    fail(name, ": expected a number from ", lowest, " to ", highest, ", found \"", value == nullptr ? "" : value,
         "\" in the environment");
  }
  int number_or(const char* name, int lowest, int highest, int otherwise) const {
    return has(name) ? number(name, lowest, highest) : otherwise;
  }

 private:
  const Environment& environment_;
};

constexpr int kMostRanks = 65536, kHighestPort = 65535;

void read_ranks(const Reader& env, const char* rank, const char* size, const char* local_rank, const char* local_size, Place* place) {
  place->size = env.number(size, 1, kMostRanks);
  place->rank = env.number(rank, 0, place->size - 1);
  place->local_rank = env.number_or(local_rank, 0, kMostRanks, 0);
  place->local_size = env.number_or(local_size, 1, kMostRanks, place->size);
}

// "node[03-05,9],other" -> "node03"
std::string first_host(const std::string& list) {
  const size_t bracket = list.find('['), comma = list.find(',');
  if (bracket == std::string::npos || comma < bracket) return list.substr(0, comma);
  const size_t begin = bracket + 1;
  return list.substr(0, bracket) + list.substr(begin, list.find_first_of("-,]", begin) - begin);
}

void read_slurm(const Reader& env, Place* place) {
  read_ranks(env, "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "LOCAL_WORLD_SIZE", place);
  const int nodes = env.number_or("SLURM_STEP_NUM_NODES", 1, kMostRanks, 1);
  place->local_size = (place->size + nodes - 1) / nodes;
  place->port = 20000 + env.number_or("SLURM_JOB_ID", 0, 2147483647, 0) % 20000;
  if (nodes > 1 && !env.has("MASTER_ADDR")) {
    if (!env.has("SLURM_STEP_NODELIST")) fail("SLURM_STEP_NODELIST: missing in srun's environment; set MASTER_ADDR to the host of rank 0");
    place->address = first_host(env.text("SLURM_STEP_NODELIST"));
  }
}

}  // namespace

Place find_place(const Environment& environment) {
  const Reader env(environment);
  Place place;
  if (env.has("RANK") && env.has("WORLD_SIZE")) {
    place.launcher = env.has("SIXTEEN_LAUNCHED") ? "--gpus" : "torchrun";
    read_ranks(env, "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", &place);
  } else if (env.has("OMPI_COMM_WORLD_RANK")) {
    place.launcher = "mpirun";
    read_ranks(env, "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE", &place);
    if (place.local_size < place.size && !env.has("MASTER_ADDR")) {
      fail("MASTER_ADDR: needed by mpirun on several hosts; give -x MASTER_ADDR=<the host of rank 0>");
    }
  } else if (env.has("SLURM_PROCID") && env.has("SLURM_STEP_NUM_TASKS")) {
    place.launcher = "srun";
    read_slurm(env, &place);
  } else {
    return place;
  }
  if (env.has("MASTER_ADDR")) place.address = env.text("MASTER_ADDR");
  if (env.has("MASTER_PORT")) place.port = env.number("MASTER_PORT", 1, kHighestPort - 1) + 1;
  place.port = env.number_or("SIXTEEN_PORT", 1, kHighestPort, place.port);
  place.meet_s = env.number_or("SIXTEEN_TIMEOUT", 1, 86400, static_cast<int>(place.meet_s));
  place.timeout_s = env.number_or("SIXTEEN_TIMEOUT", 1, 86400, static_cast<int>(place.timeout_s));
  return place;
}

Place find_place() {
  return find_place([](const char* name) { return std::getenv(name); });
}

}  // namespace sixteen
