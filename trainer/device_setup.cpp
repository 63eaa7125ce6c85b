// See device_setup.h.
#include "trainer/device_setup.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "formats/error.h"
#include "formats/file.h"
#include "model/optim.h"

namespace sixteen {
namespace {

void warn(const std::string& line) { std::fprintf(stderr, "sixteen-train: %s\n", line.c_str()); }

}  // namespace

void use_measured_products(Device* device, const Console& console) {
  const std::string library = device->gemm_library(), path = library.empty() ? "" : gemm_cache_path(library);
  std::error_code ignored;
  if (path.empty() || !std::filesystem::exists(path, ignored)) return;
  try {
    const GemmChoices choices = parse_gemm_cache(read_text_file(path), library, path);
    device->use_gemm_choices(choices);
    console.say(choices.size(), " measured matrix products of ", path);
  } catch (const Error& error) {
    warn(std::string(error.what()) + "; ignored: make it anew with 'sixteen-train bench --tune'");
  }
}

void tune_products(std::shared_ptr<Device> device, const ModelConfig& model, std::shared_ptr<const ParamTable> table,
                   const TrainConfig& train, const Console& console) {
  const std::string library = device->gemm_library();
  if (library.empty()) fail("--tune: ", device->name(), " has no matrix products to choose from; use --device cuda");
  GemmMeasurement measured;
  {
    Session session(device, model, table);  // its graphs name the products; nothing is run
    Optimizer optimizer(&session, train.optim);
    reserve_training(&session, train, "use fewer windows a pass");
    measured = device->measure_gemm();
  }
  for (const std::string& line : measured.lines) console.say(line);
  device->use_gemm_choices(measured.training);
  const std::string path = gemm_cache_path(library);
  try {
    if (path.empty()) fail("no folder for the cache: set SIXTEEN_CACHE");
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    write_file(path, gemm_cache_text(measured.training, library));
    console.say("wrote ", measured.training.size(), " measured matrix products to ", path);
  } catch (const std::exception& error) {  // Error and what std::filesystem throws
    warn(std::string(error.what()) + "; the measured products serve this process alone");
  }
}

void reserve_training(Session* session, const TrainConfig& train, const std::string& advice, bool validates) {
  std::vector<BuildOptions> programs = {session->train_options(train.micro_windows, train.seq_len, false)};
  if (session->config().loop.extra_passes > 0) programs.push_back(session->train_options(train.micro_windows, train.seq_len, true));
  if (validates) {
    programs.push_back(session->score_options(session->score_batch(train.seq_len), train.seq_len, train.seq_len));
  }
  session->reserve(programs, advice);
}

}  // namespace sixteen
