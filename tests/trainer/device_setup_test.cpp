// Measured products: written by tuning, taken by the next run, and a cache that cannot be used is one line and no more.
#include "trainer/device_setup.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "formats/error.h"
#include "formats/file.h"
#include "tests/support/limited_device.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_model.h"

namespace sixteen {
namespace {

namespace fs = std::filesystem;
using testing::LimitedDevice;

const Console kQuiet{.json = false, .quiet = true};
constexpr int64_t kPlenty = int64_t{1} << 34;

class DeviceSetup : public ::testing::Test {
 protected:
  void SetUp() override { setenv("SIXTEEN_CACHE", (folder_.folder() + "/cache").c_str(), 1); }
  void TearDown() override { unsetenv("SIXTEEN_CACHE"); }

  static TrainConfig train() {
    TrainConfig c;
    c.micro_windows = 2;
    c.seq_len = 32;
    return c;
  }
  std::shared_ptr<LimitedDevice> tuned(int64_t free_bytes = kPlenty) {
    auto device = std::make_shared<LimitedDevice>(free_bytes);
    const ModelConfig config = testing::tiny_config();
    tune_products(device, config, std::make_shared<ParamTable>(config), train(), kQuiet);
    return device;
  }
  // What the next process takes, and what it says on stderr.
  static std::pair<GemmChoices, std::string> next_run() {
    LimitedDevice device(kPlenty);
    ::testing::internal::CaptureStderr();
    use_measured_products(&device, kQuiet);
    return {device.used, ::testing::internal::GetCapturedStderr()};
  }
  static std::string path() { return gemm_cache_path("card, library 1"); }

  testing::Scratch folder_;
};

TEST_F(DeviceSetup, WithoutACacheNothingIsChosenAndNothingWritten) {
  const auto [used, said] = next_run();
  EXPECT_TRUE(used.empty());
  EXPECT_EQ(said, "");
  EXPECT_FALSE(fs::exists(path()));
}

TEST_F(DeviceSetup, TheNextRunTakesWhatTuningMeasured) {
  const GemmChoices measured = tuned()->used;
  EXPECT_EQ(measured.size(), 1u);
  const auto [used, said] = next_run();
  EXPECT_EQ(used, measured);
  EXPECT_EQ(said, "");
}

TEST_F(DeviceSetup, ADamagedCacheIsIgnoredWithOneLine) {
  tuned();
  const std::string text = read_text_file(path());
  write_file(path(), text.substr(0, text.size() / 2));
  const auto [used, said] = next_run();
  EXPECT_TRUE(used.empty());
  EXPECT_NE(said.find(path() + ": damaged"), std::string::npos) << said;
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1);
}

TEST_F(DeviceSetup, ACacheThatCannotBeWrittenServesThisProcessAlone) {
  write_file(folder_.folder() + "/cache", "a file where the folder should be");
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(tuned()->used.size(), 1u);
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("this process alone"), std::string::npos) << said;
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1);
}

TEST_F(DeviceSetup, TuningAndTrainingSayHowMuchMemoryTheyNeed) {
  EXPECT_THROW(tuned(1000), Error);
  EXPECT_FALSE(fs::exists(path()));
}

TEST_F(DeviceSetup, ADeviceWithoutAChoiceRefusesToTune) {
  const ModelConfig config = testing::tiny_config();
  EXPECT_THROW(tune_products(make_device("cpu", 1), config, std::make_shared<ParamTable>(config), train(), kQuiet), Error);
}

}  // namespace
}  // namespace sixteen
