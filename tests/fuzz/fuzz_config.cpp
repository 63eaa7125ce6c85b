// TOML configs from any text: an Error of one line or the values.
#include <cstdint>

#include "formats/check.h"
#include "formats/config_file.h"
#include "formats/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    sixteen::ConfigFile file = sixteen::ConfigFile::parse(text, "fuzz.toml");
    sixteen::Section train = file.section("train");
    int steps = 1;
    double rate = 1;
    bool flag = false;
    std::string name;
    std::vector<int64_t> layers;
    std::vector<std::string> files;
    train.read("steps", &steps);
    train.read("rate", &rate);
    train.read("flag", &flag);
    train.read("name", &name);
    train.read("layers", &layers);
    train.read("files", &files);
    train.table("loop").finish();
    train.finish();
    file.check_sections({"model", "train"});
  } catch (const sixteen::Error& error) {
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
  }
  return 0;
}
