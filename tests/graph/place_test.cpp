// Launchers' environments (place.h).
#include "graph/place.h"

#include <gtest/gtest.h>

#include <map>

#include "formats/error.h"

namespace sixteen {
namespace {

using Variables = std::map<std::string, std::string>;

Place place_of(const Variables& variables) {
  return find_place([&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

void expect_refusal(const std::string& part, const Variables& variables) {
  try {
    place_of(variables);
    ADD_FAILURE() << "expected an error with " << part;
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
  }
}

TEST(Place, WithoutALauncherARunIsAlone) {
  EXPECT_EQ(place_of({}).size, 1);
  EXPECT_EQ(place_of({{"RANK", "3"}}).size, 1);
  EXPECT_EQ(place_of({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}}).size, 1);  // a batch script, not a step of srun
}

TEST(Place, Torchrun) {
  Variables variables = {{"RANK", "5"},       {"WORLD_SIZE", "16"},      {"LOCAL_RANK", "1"}, {"LOCAL_WORLD_SIZE", "4"},
                         {"MASTER_ADDR", "n7"}, {"MASTER_PORT", "29400"}};
  const Place place = place_of(variables);
  EXPECT_EQ(place.rank, 5);
  EXPECT_EQ(place.size, 16);
  EXPECT_EQ(place.local_rank, 1);
  EXPECT_EQ(place.local_size, 4);
  EXPECT_EQ(place.address, "n7");
  EXPECT_EQ(place.port, 29401);
  variables["SIXTEEN_PORT"] = "7000";
  variables["SIXTEEN_TIMEOUT"] = "3";
  EXPECT_EQ(place_of(variables).port, 7000);
  EXPECT_EQ(place_of(variables).timeout_s, 3);
}

TEST(Place, Mpirun) {
  Variables variables = {{"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                         {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"}};
  EXPECT_EQ(place_of(variables).rank, 1);
  EXPECT_EQ(place_of(variables).address, "127.0.0.1");
  variables["OMPI_COMM_WORLD_LOCAL_SIZE"] = "2";
  expect_refusal("MASTER_ADDR", variables);
  variables["MASTER_ADDR"] = "10.0.0.1";
  EXPECT_EQ(place_of(variables).address, "10.0.0.1");
}

TEST(Place, Srun) {
  Variables variables = {{"SLURM_PROCID", "9"},       {"SLURM_STEP_NUM_TASKS", "16"},         {"SLURM_LOCALID", "1"},
                         {"SLURM_STEP_NUM_NODES", "2"}, {"SLURM_STEP_NODELIST", "gpu[03-05,9]"}, {"SLURM_JOB_ID", "123456"}};
  const Place place = place_of(variables);
  EXPECT_EQ(place.rank, 9);
  EXPECT_EQ(place.local_size, 8);
  EXPECT_EQ(place.address, "gpu03");
  EXPECT_EQ(place.port, 20000 + 123456 % 20000);
  variables["SLURM_STEP_NODELIST"] = "alpha,beta[1-2]";
  EXPECT_EQ(place_of(variables).address, "alpha");
  variables.erase("SLURM_STEP_NODELIST");
  expect_refusal("SLURM_STEP_NODELIST", variables);
}

TEST(Place, RefusesWhatCannotBe) {
  expect_refusal("RANK", {{"RANK", "2"}, {"WORLD_SIZE", "2"}});
  expect_refusal("RANK", {{"RANK", "one"}, {"WORLD_SIZE", "2"}});
  expect_refusal("WORLD_SIZE", {{"RANK", "0"}, {"WORLD_SIZE", "0"}});
  expect_refusal("SIXTEEN_PORT", {{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"SIXTEEN_PORT", "70000"}});
}

}  // namespace
}  // namespace sixteen
