// sixteen-pack audit on folders laid out like records (legality 6): the baseline's script, the late stack with logs in a folder of their own,
// a score-first record whose submission.json is poor. Each passes as it is, its numbers are read, and one change in it is a fault.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/support/pack_commands.h"
#include "tests/support/scratch.h"

namespace sixteen {
namespace {

using Json = nlohmann::json;
using testing::Outcome;
using testing::run_pack;
using testing::Scratch;

using Files = std::map<std::string, std::string>;

template <class... Values>
std::string format(const char* pattern, Values... values) {
  char text[1024];
  std::snprintf(text, sizeof text, pattern, values...);
  return text;
}

double loss_of(double bpb, double bytes, double targets) { return bpb * std::log(2.0) * bytes / targets; }

// March: one script, one log, sizes in submission.json only; the clock is looked at between steps and stops 38 ms late.
Files baseline() {
  std::string log = "logs/abc.txt\nval_loader:shards pattern=./data/fineweb_val_*.bin tokens:62021632\ntrain_loader:dataset:fineweb10B_sp1024 train_shards:80\nseed:1337\n";
  for (int step = 200; step <= 13600; step += 200) log += format("step:%d/20000 train_loss:2.1%03d train_time:%dms step_avg:43.60ms\n", step, step % 997, step * 436 / 10);
  log += "step:13764/20000 val_loss:2.0606 val_bpb:1.2172 train_time:600038ms step_avg:43.59ms\n"
         "stopping_early: wallclock_cap train_time:600038ms step:13764/20000\npeak memory allocated: 10184 MiB reserved: 10200 MiB\n"
         "Serialized model: 67224983 bytes\nCode size: 47686 bytes\nTotal submission size: 67272669 bytes\n"
         "Serialized model int8+zlib: 15815847 bytes (payload:17178912 raw_torch:17224025 payload_ratio:3.91x)\n"
         "Total submission size int8+zlib: 15863533 bytes\nfinal_int8_zlib_roundtrip val_loss:2.0727 val_bpb:1.2244 eval_time:1398ms\n";
  log += format("final_int8_zlib_roundtrip_exact val_loss:%.8f val_bpb:%.8f\n", loss_of(1.22436570, 151080363, 62021632), 1.22436570);
  return {{"train.log", log},
          {"train_gpt.py", "import torch\n" + std::string(47673, '#')},
          {"README.md", "# Baseline: 1.2244\n"},
          {"submission.json", R"({"author": "x", "github_id": "x", "name": "Naive Baseline", "blurb": "b", "date": "2026-03-18T14:56:29Z", "val_loss": 2.07269931,
                                  "val_bpb": 1.2243657, "bytes_total": 15863533, "bytes_code": 47686})"}};
}

// April: three seeds, logs/ of its own, a dump of hyper-parameters, seed_results as an object, compliance flags, CaseOps, a tokenizer.
Files late_stack() {
  const std::map<int, double> bpb = {{42, 1.06118}, {0, 1.06154}, {1234, 1.06101}};
  Files files{{"train_gpt.py", std::string(150000, '#') + "\n"}, {"tokenizers/caseops.model", "spm"}, {"prepare_caseops_data.py", "print()\n"}, {"lossless_caps.py", "x = 1\n"},
              {"README.md", "| seed | val_bpb |\n mean 1.0612 |\n"}, {"requirements.txt", "torch\n"}};
  Json seeds = Json::object();
  for (const auto& [seed, b] : bpb) {
    const int model = 15808000 + seed, steps = 4860 + seed % 10;
    std::string log = format("W0420 torchrun\nHyperparameters:\n  adam_eps: 1e-08\n  run_id: r%d\n  seed: %d\n  train_time_cap: 600\n  matrix_lr: 0.026\n"
                             "train_shards: 80\nval_tokens: 47851520\nmodel_params:35945671\ngptq:reserving 5.5s, effective=594500ms\n", seed, seed);
    for (int step = 500; step < steps; step += 500) log += format("%d/20000 train_loss: 2.%04d train_time: %.1fm tok/s: %d\n", step, (step + seed * 7) % 9999, step * 0.00204, 8000000 + seed + step);
    log += format("stopping_early: wallclock_cap train_time: %dms step: %d/20000\npeak memory allocated: 40000 MiB\n", 594480 + seed % 13, steps);
    log += format("diagnostic pre-quantization post-ema val_loss:2.35 val_bpb:1.0740 eval_time:%dms\nCode size (uncompressed): 150001 bytes\nCode size (compressed): 31500 bytes\n"
                  "GPTQ:collecting Hessians from calibration data...\nGPTQ:collected 67 Hessians in 3.%ds\nSerialized model quantized+brotli: %d bytes\n"
                  "Total submission size quantized+brotli: %d bytes\ndiagnostic quantized val_loss:2.38 val_bpb:1.0830 eval_time:%dms\n", 7000 + seed, seed % 9, model, model + 31500, 900000 + seed);
    log += format("ttt_phased: total_docs:50000 prefix_docs:2500 suffix_docs:47500\nttp: b775/782 bl:2.2 rl:2.3 dl:200-210 gd:1\nquantized_ttt_phased val_loss:%.8f val_bpb:%.8f eval_time:%dms\n"
                  "total_eval_time:%.1fs\n", loss_of(b, 151074499, 47851520), b, 480000 + seed, 480.0 + seed / 1000.0);
    files["logs/train_seed" + std::to_string(seed) + ".log"] = log;
    seeds[std::to_string(seed)] = {{"val_bpb", b}, {"artifact_bytes", model + 31500}, {"steps", steps}, {"eval_time_s", 480}};
  }
  files["submission.json"] = Json{{"author", "y"}, {"date", "2026-04-20"}, {"track", "10min_16mb"}, {"val_bpb", 1.06124}, {"val_bpb_std", 0.00027074}, {"seeds", {42, 0, 1234}},
                                  {"seed_results", seeds}, {"compliance", {{"train_under_600s", true}, {"three_seeds", true}}}, {"artifact_bytes_max", 15840734},
                                  {"attribution", "PR #1855"}}.dump(2);
  return files;
}

// SP1024 with score-first training; submission.json knows nothing but the mean, seeds are in a list of objects.
Files score_first() {
  const std::map<int, double> bpb = {{1337, 1.11473509}, {42, 1.11442315}, {2025, 1.11502208}};
  Files files{{"train_gpt.py", "print(1)\n"}, {"README.md", "mean 1.1147\n"}};
  Json list = Json::array();
  for (const auto& [seed, b] : bpb) {
    std::string log = format("val_loader:shards pattern=v tokens:62021632\ntrain_loader:dataset train_shards:80\nuse_mtp: 0 seed:%d\n", seed);
    for (int step = 1000; step <= 7000; step += 1000) log += format("step:%d/9000 train_loss:1.9%03d train_time:%dms step_avg:83.%02dms\n", step, (step + seed) % 1000, step * 83 + seed % 17, seed % 50);
    log += format("step:7185/9000 val_loss:1.9206 val_bpb:1.1375 train_time:599990ms step_avg:83.506ms\nSerialized model int6+lzma: %d bytes\nCode size: 9 bytes\n"
                  "Total submission size int6+lzma: %d bytes\n", 15890000 + seed, 15890009 + seed);
    log += format("final_int6_sliding_window_exact val_loss:1.88 val_bpb:1.1180\nttt_sliding:done val_loss=1.882 val_bpb=1.1147 elapsed=410.2s\n"
                  "legal_ttt val_loss:%.4f val_bpb:%.4f eval_time:410%03dms\nlegal_ttt_exact val_loss:%.8f val_bpb:%.8f\n", loss_of(b, 151080363, 62021632), b, seed % 999,
                  loss_of(b, 151080363, 62021632), b);
    files["train_seed" + std::to_string(seed) + ".log"] = log;
    list.push_back({{"seed", seed}, {"val_bpb", b}});
  }
  files["submission.json"] = Json{{"name", "z"}, {"mean_val_bpb", 1.11472677}, {"seeds", list}}.dump();
  return files;
}

Outcome audit(const Files& files, const Scratch& scratch) {
  for (const auto& [name, text] : files) {
    std::filesystem::create_directories(std::filesystem::path(scratch.path(name)).parent_path());
    write_file(scratch.path(name), text);
  }
  return run_pack({"audit", scratch.folder()});
}

std::string changed(const std::string& text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : std::string(text).replace(at, from.size(), to);
}

struct Case {
  const char* name;
  Files (*files)();
  std::vector<std::string> says;
  struct Fault {
    const char *file, *from, *to, *says;
  };
  std::vector<Fault> faults;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"baseline", baseline, {"151080363 of 151080363 of SP1024", "15815847 + 47686 = 15863533", "over by less than the step of 43.59", "15,863,533 bytes = 15.864 MB"},
       {{"train.log", "Total submission size int8+zlib: 15863533", "Total submission size int8+zlib: 15963533", "a third blob?"},
        {"train.log", "train_shards:80", "train_shards:1499", "leaves validation documents in training"},
        {"submission.json", "\"val_bpb\": 1.2243657", "\"val_bpb\": 1.2143657", "val_bpb 1.21437, the mean of 1 logs 1.22437"}}},
      {"late_stack", late_stack, {"of CaseOps 8192, within the printed decimals", "seed 1234: 1.06101, log 1.06101", "3 printed, 3 different", "lossless_caps.py  (code, often left out)", "caseops.model  (tokenizer)"},
       {{"logs/train_seed42.log", "matrix_lr: 0.026", "matrix_lr: 0.022", "matrix_lr is"},
        {"logs/train_seed42.log", "Hessians in 3.6s", "Hessians in 6.9s", "training time"},
        {"logs/train_seed0.log", "seed: 0", "seed: 42", "3 printed, 2 different"},
        {"submission.json", "0.00027074", "0.00022106", "it is the population's"}}},
      {"score_first", score_first, {"151080363 of 151080363 of SP1024", "the mean of 3 logs 1.11473", "seed 2025: 1.11502, log 1.11502"},
       {{"train_seed42.log", "eval_time:410042ms", "eval_time:710042ms", "evaluation time: train_seed42.log: 710.042 s of 600"},
        {"submission.json", "1.11442315", "1.10442315", "seed 42: 1.10442, log 1.11442"}}},
  };
  return all;
}

TEST(RecordFolders, PassAsTheyAreAndWithAFaultDoNot) {
  for (const Case& c : cases()) {
    const Scratch scratch;
    const Outcome clean = audit(c.files(), scratch);
    EXPECT_EQ(clean.code, 0) << c.name << clean.err << clean.out;
    for (const std::string& says : c.says) EXPECT_NE(clean.out.find(says), std::string::npos) << c.name << ": " << says << "\n" << clean.out;
    for (const Case::Fault& fault : c.faults) {
      Files files = c.files();
      files[fault.file] = changed(files[fault.file], fault.from, fault.to);
      const Outcome found = audit(files, scratch);
      EXPECT_EQ(found.code, 1) << c.name << ": " << fault.says;
      EXPECT_NE(found.out.find(fault.says), std::string::npos) << c.name << ": " << fault.says << "\n" << found.out;
    }
  }
}

}  // namespace
}  // namespace sixteen
