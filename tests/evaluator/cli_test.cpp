// The real programs as a person calls them: what bad input gets (one line, exit code, nothing touched) and what good input gives.
//
// Bites: run from a folder of its own, whose every file is compared before and after a refusal.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "formats/file.h"
#include "formats/sha256.h"
#include "formats/shard.h"
#include "model/checkpoint.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_model.h"
#include "trainer/corpus.h"
#include "trainer/tokenize.h"
#include "trainer/tokenizer_train.h"

namespace sixteen {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr int64_t kVocab = 360;  // byte fallback, the letters and a few merges
const Console kQuiet{.json = false, .quiet = true};

struct Ran {
  int code = -1;
  std::string out, err;
};

// One folder for all tests: text, tokenizer, shards, a checkpoint and its artifact.
class Cli : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<testing::Scratch>();
    write_corpus(path("text.txt"), 60000, 1, kQuiet);
    train_tokenizer({.text = {path("text.txt")}, .vocab = kVocab, .out = path("t.model")}, kQuiet);
    train_tokenizer({.text = {path("text.txt")}, .vocab = kVocab + 8, .out = path("other.model")}, kQuiet);
    tokenize({.tokenizer = path("t.model"), .text = {path("text.txt")}, .out = folder_->folder(), .val_documents = 3},
             kQuiet);
    const ModelConfig config = testing::tiny_config(kVocab);
    save_checkpoint(path("m.safetensors"), config, testing::tiny_store(config));
    write_file(path("pack.toml"),
               "[pack]\nmax_plain_numel = 256\ncalib_windows = 8\ncalib_batch = 4\ncalib_seq_len = 32\n");
    const Ran packed = run("pack pack m.safetensors -o m.s16 --config pack.toml --calib 'tokens_train_*.bin' --quiet");
    ASSERT_EQ(packed.code, 0) << packed.err;
    for (const char* name : {"old.s16", "old.nll", "old.html", "old.safetensors"}) write_file(path(name), "older");
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static std::string path(const std::string& name) { return folder_->path(name); }

  // `command` without its leading "sixteen-", in the shell, from the folder; `before` may set limits.
  static Ran run(const std::string& command, const std::string& before = "") {
    const testing::Scratch output;
    const std::string line = "cd " + folder_->folder() + " && " + before + " " SIXTEEN_BINARY_DIR "/bin/sixteen-" +
                             command + " >" + output.path("out") + " 2>" + output.path("err") + " </dev/null";
    const int status = std::system(line.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), read_text_file(output.path("out")),
            read_text_file(output.path("err"))};
  }

  static std::map<std::string, std::string> hashes() {
    std::map<std::string, std::string> all;
    for (const auto& entry : fs::directory_iterator(folder_->folder())) {
      if (entry.is_regular_file()) all[entry.path().filename()] = to_hex(sha256(MappedFile(entry.path()).bytes()));
    }
    return all;
  }

  // The exit code, one line on stderr with all of `parts`, nothing on stdout, no file made, changed or lost.
  static void expect_refused(const std::string& command, int code, const std::vector<std::string>& parts,
                             const std::string& before = "") {
    SCOPED_TRACE(command);
    const auto files = hashes();
    const Ran ran = run(command + (command.find(' ') == std::string::npos ? "" : " --quiet"), before);
    EXPECT_EQ(ran.code, code) << ran.err;
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
    EXPECT_EQ(ran.err.rfind("sixteen-" + command.substr(0, command.find(' ')) + ": ", 0), 0u) << ran.err;
    EXPECT_EQ(ran.out, "");
    for (const std::string& part : parts)
      EXPECT_NE(ran.err.find(part), std::string::npos) << part << "\nis not in " << ran.err;
    EXPECT_EQ(hashes(), files);
  }

  static std::string score(const std::string& model, const std::string& data = "'tokens_val_*.bin'") {
    return "eval score " + model + " --tokenizer t.model --data " + data + " --nll-out old.nll --report old.html";
  }
  static std::string pack(const std::string& model) {
    return "pack pack " + model + " -o old.s16 --config pack.toml --calib 'tokens_train_*.bin'";
  }

  static std::unique_ptr<testing::Scratch> folder_;
};
std::unique_ptr<testing::Scratch> Cli::folder_;

TEST_F(Cli, Shards) {
  const std::string good = read_text_file(path("tokens_val_000000.bin"));
  write_file(path("cut.bin"), good.substr(0, good.size() - 2));
  write_file(path("stump.bin"), good.substr(0, 100));
  write_file(path("foreign.bin"), std::string(5000, 'x'));
  std::vector<uint16_t> tokens(500, 9);
  tokens[400] = kVocab;
  write_shard(path("beyond.bin"), tokens);
  for (const char* name : {"cut.bin", "stump.bin", "foreign.bin", "beyond.bin"}) {
    expect_refused(score("m.s16", name), 1, {name});
    expect_refused(score("m.s16", name) + " --ttt --stride 8", 1, {name});
  }
  expect_refused(score("m.s16", "beyond.bin"), 1, {"beyond.bin: offset 1824", "360"});
  write_file(path("pack_all.toml"),
             "[pack]\nmax_plain_numel = 256\ncalib_windows = 64\ncalib_batch = 4\ncalib_seq_len = 32\n");
  for (const char* name : {"cut.bin", "stump.bin", "foreign.bin", "beyond.bin"}) {
    expect_refused("pack pack m.safetensors -o old.s16 --config pack_all.toml --calib " + std::string(name), 1, {name});
  }
  expect_refused(score("m.s16", "nothing_*.bin"), 1, {"nothing_*.bin"});
}

TEST_F(Cli, ValidationSetsThatAreTooShort) {
  write_shard(path("empty.bin"), {});
  write_shard(path("little.bin"), std::vector<uint16_t>(32, 9));
  write_shard(path("enough.bin"), std::vector<uint16_t>(33, 9));
  for (const char* mode : {"", " --sliding --stride 8", " --ttt --stride 8"}) {
    expect_refused(score("m.s16", "empty.bin") + mode, 1, {"empty.bin"});
    expect_refused(score("m.s16", "little.bin") + mode, 1, {"little.bin: 32 tokens", "33"});
  }
  EXPECT_EQ(run("eval score m.s16 --tokenizer t.model --data enough.bin").code, 0);
}

TEST_F(Cli, TokenizerOfAnotherVocabulary) {
  const std::vector<std::string> parts = {"other.model", "368", "360"};
  expect_refused("eval score m.s16 --tokenizer other.model --data 'tokens_val_*.bin'", 1, parts);
  expect_refused("eval text m.s16 --tokenizer other.model text.txt", 1, parts);
  expect_refused("eval generate m.s16 --tokenizer other.model", 1, parts);
  expect_refused("eval score m.s16 --tokenizer text.txt --data 'tokens_val_*.bin'", 1, {"text.txt"});
  expect_refused("eval score m.s16 --tokenizer absent.model --data 'tokens_val_*.bin'", 1, {"absent.model"});
}

TEST_F(Cli, Checkpoints) {
  ModelConfig config = testing::tiny_config(kVocab);
  ParamStore store = testing::tiny_store(config);
  store.tensor("blocks.2.mlp.fc.weight")[7] = std::numeric_limits<float>::quiet_NaN();
  save_checkpoint(path("nan.safetensors"), config, store);
  ModelConfig larger = config;
  larger.mlp_hidden = 64;
  save_checkpoint(path("other.safetensors"), larger, testing::tiny_store(config));
  const std::string good = read_text_file(path("m.safetensors"));
  write_file(path("cut.safetensors"), good.substr(0, good.size() - 4));
  for (const auto& [name, part] : std::map<std::string, std::string>{{"nan.safetensors", "blocks.2.mlp.fc.weight"},
                                                                     {"other.safetensors", "[64, 32]"},
                                                                     {"cut.safetensors", "cut.safetensors"}}) {
    expect_refused(pack(name), 1, {name, part});
    expect_refused(score(name), 1, {name, part});
    expect_refused("eval text " + name + " --tokenizer t.model text.txt", 1, {name, part});
    expect_refused("eval generate " + name + " --tokenizer t.model", 1, {name, part});
  }
  expect_refused(pack("m.s16"), 1, {"m.s16"});  // packed already
  expect_refused(score("absent.s16"), 1, {"absent.s16"});
}

TEST_F(Cli, DamagedArtifacts) {
  const std::string good = read_text_file(path("m.s16"));
  for (const size_t at : {size_t{5}, size_t{30}, good.size() / 2, good.size() - 1}) {  // pack_test.cpp tries them all
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 4);
    write_file(path("bad.s16"), bad);
    expect_refused(score("bad.s16"), 1, {"bad.s16"});
    expect_refused("pack export bad.s16 -o old.safetensors", 1, {"bad.s16"});
    expect_refused("pack inspect bad.s16", 1, {"bad.s16"});
  }
}

TEST_F(Cli, OutputsThatCannotBeWritten) {
  fs::create_directories(path("folder"));
  const std::string score_of_m = "eval score m.s16 --tokenizer t.model --data 'tokens_val_*.bin' ";
  const std::string pack_m = "pack pack m.safetensors --nearest --config pack.toml -o ";
  for (const char* place : {"nowhere/x", "folder"}) {
    expect_refused(pack_m + place, 1, {place});
    expect_refused(score_of_m + "--nll-out " + place, 1, {place});
    expect_refused(score_of_m + "--report " + place, 1, {place});
    expect_refused("pack export m.s16 -o " + std::string(place), 1, {place});
  }
  expect_refused(pack_m + "/dev/full", 1, {"/dev/full", "No space left"});
  expect_refused(score_of_m + "--nll-out /dev/full", 1, {"/dev/full", "No space left"});
  expect_refused(score_of_m + "--report /dev/full", 1, {"/dev/full", "No space left"});
  const std::string limit = "trap '' XFSZ; ulimit -f 4;";  // 2 or 4 kB, by the shell
  expect_refused(pack_m + "old.s16", 1, {"old.s16", "File too large"}, limit);
  expect_refused("pack export m.s16 -o old.safetensors", 1, {"old.safetensors", "File too large"}, limit);
  expect_refused(score_of_m + "--report old.html", 1, {"old.html", "File too large"}, limit);
  expect_refused(pack_m + "old.s16 --target-bytes 3000 --keep-clips", 1, {"old.s16", "over the target of 3000"});
  expect_refused(pack_m + "old.s16 --target-bytes 3000", 1, {"cannot fit", "over the target of 3000 by"});
  expect_refused(pack_m + "old.s16 --code absent.py", 1, {"absent.py"});
}

TEST_F(Cli, Configs) {
  write_file(path("key.toml"), "[eval]\nstrid = 8\n[pack]\nmatrix_bit = 6\n");
  write_file(path("nested.toml"), "[eval.ttt]\nepoch = 2\n");
  write_file(path("section.toml"), "[evals]\nstride = 8\n");
  write_file(path("syntax.toml"), "[eval\n");
  write_file(path("value.toml"), "[eval]\nstride = 99\n[pack]\nmatrix_bits = 9\n");
  write_file(path("type.toml"), "[eval]\nstride = \"many\"\n");
  expect_refused(score("m.s16") + " --config key.toml", 1, {"key.toml", "eval.strid ", "eval.stride?"});
  expect_refused(score("m.s16") + " --config nested.toml", 1, {"nested.toml", "eval.ttt.epoch ", "eval.ttt.epochs?"});
  expect_refused(score("m.s16") + " --config section.toml", 1, {"section.toml", "evals", "eval?"});
  expect_refused(score("m.s16") + " --config syntax.toml", 1, {"syntax.toml"});
  expect_refused(score("m.s16") + " --config value.toml --sliding", 1, {"value.toml", "stride", "99"});
  expect_refused(score("m.s16") + " --config type.toml", 1, {"type.toml", "stride"});
  expect_refused(score("m.s16") + " --config absent.toml", 1, {"absent.toml"});
  const std::string packing = "pack pack m.safetensors -o old.s16 --nearest --config ";
  expect_refused(packing + "key.toml", 1, {"key.toml", "pack.matrix_bit ", "pack.matrix_bits?"});
  expect_refused(packing + "value.toml", 1, {"value.toml", "bits", "9"});
}

TEST_F(Cli, CudaWithoutIt) {
#ifdef SIXTEEN_CUDA
  GTEST_SKIP() << "this build has CUDA";
#else
  expect_refused(score("m.s16") + " --device cuda", 1, {"cuda"});
  expect_refused(pack("m.safetensors") + " --device cuda", 1, {"cuda"});
  expect_refused("eval generate m.s16 --tokenizer t.model --device cuda", 1, {"cuda"});
  expect_refused("eval text m.s16 --tokenizer t.model text.txt --device cuda", 1, {"cuda"});
#endif
  expect_refused(score("m.s16") + " --device tpu", 1, {"tpu"});
}

TEST_F(Cli, WrongUsageIsCodeTwo) {
  expect_refused(score("m.s16") + " --hash-embed", 2, {"--hash-embed needs --ttt"});
  expect_refused(score("m.s16") + " --hash-buckets 64", 2, {"--ttt"});
  expect_refused("pack pack m.safetensors -o old.s16 --config pack.toml", 2, {"--calib"});
  expect_refused("pack pack m.safetensors -o old.s16 --nearest --bits 9", 2, {"--bits"});
  expect_refused("pack pack -o old.s16 --nearest", 2, {"checkpoint"});
  expect_refused(score("m.s16") + " --windw 8", 2, {"--windw"});
  for (const char* flag : {"--window 0", "--window -3", "--stride 0", "--batch x", "--threads -1", "--ttt-lr -1"}) {
    expect_refused(score("m.s16") + " " + flag, 2, {std::string(flag).substr(0, std::string(flag).find(' '))});
  }
  expect_refused("eval generate m.s16 --tokenizer t.model --temperature -1", 2, {"--temperature"});
  for (const char* program : {"eval", "pack"}) expect_refused(program, 2, {"--help"});
}

Json json_of(const Ran& ran) {
  EXPECT_EQ(ran.code, 0) << ran.err;
  const size_t line = ran.out.rfind('\n', ran.out.size() - 2);
  return Json::parse(ran.out.substr(line == std::string::npos ? 0 : line + 1));
}

TEST_F(Cli, ScoreWritesOneLossATargetInOrderAndTheSameForAnyBatchAndThreads) {
  const std::vector<uint16_t> tokens = read_shards(path("tokens_val_*.bin"), kVocab);
  write_file(path("eval.toml"), "[eval]\nstride = 8\n[eval.ttt]\nchunk = 256\nlr = 0.01\nepochs = 1\n");
  for (const std::string mode : {"", "--sliding", "--ttt --hash-buckets 128"}) {
    const std::string command =
        "eval score m.s16 --tokenizer t.model --data 'tokens_val_*.bin' --config eval.toml --quiet --json " + mode;
    const Json a = json_of(run(command + " --nll-out a.nll --report a.html --batch 3 --threads 1"));
    const Json b = json_of(run(command + " --nll-out b.nll --batch 7 --threads 2"));
    const std::string bytes = read_text_file(path("a.nll"));
    EXPECT_EQ(bytes, read_text_file(path("b.nll"))) << mode;
    ASSERT_EQ(bytes.size(), (tokens.size() - 1) * sizeof(float)) << mode;
    EXPECT_EQ(a.at("targets"), tokens.size() - 1);
    double sum = 0;
    for (size_t i = 0; i < tokens.size() - 1; ++i) {
      float value = 0;
      std::memcpy(&value, bytes.data() + i * sizeof(value), sizeof(value));
      sum += value;
    }
    EXPECT_NEAR(sum / static_cast<double>(tokens.size() - 1), a.at("loss").get<double>(), 1e-9);
    EXPECT_EQ(a.at("bpb"), b.at("bpb"));
    EXPECT_EQ(a.at("model_sha256"), to_hex(sha256(MappedFile(path("m.s16")).bytes())));
    EXPECT_GT(fs::file_size(path("a.html")), 1000u);
  }
}

TEST_F(Cli, PackInspectExportGenerateText) {
  const Json packed = json_of(
      run("pack pack m.safetensors -o n.s16 --config pack.toml --calib 'tokens_train_*.bin' --code text.txt --json"));
  EXPECT_EQ(read_text_file(path("n.s16")), read_text_file(path("m.s16")));  // packing again gives the same file
  EXPECT_EQ(packed.at("artifact_bytes"), fs::file_size(path("n.s16")));
  EXPECT_EQ(packed.at("code_bytes"), fs::file_size(path("text.txt")));
  const Json inspected = json_of(run("pack inspect n.s16 --json"));
  EXPECT_EQ(inspected.at("file_sha256"), packed.at("sha256"));
  json_of(run("pack export n.s16 -o n.safetensors --json"));
  const std::string scoring = " --tokenizer t.model --data 'tokens_val_*.bin' --quiet --json";
  EXPECT_EQ(json_of(run("eval score n.safetensors" + scoring)).at("bpb"),
            json_of(run("eval score n.s16" + scoring)).at("bpb"));
  const std::string generating =
      "eval generate m.s16 --tokenizer t.model --prompt 'The mayor' --tokens 20 --quiet --json --seed ";
  EXPECT_EQ(json_of(run(generating + "3")), json_of(run(generating + "3")));
  const Json text = json_of(run("eval text m.s16 --tokenizer t.model text.txt --json"));
  EXPECT_GT(text.at("bpb").get<double>(), 0);
  EXPECT_EQ(text.at("files").size(), 1u);
  const Json audit = json_of(run("pack audit n.s16 --code text.txt --json"));
  EXPECT_EQ(audit.at("total_bytes"), packed.at("total_bytes"));
}

}  // namespace
}  // namespace sixteen
