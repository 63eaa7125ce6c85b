// sixteen-pack source and bundle: stripping that knows C++'s tokens, an archive that unpacks to what went in and stays small, and a submission
// folder that the audit passes. That the archive builds and scores is source_build_test.cpp.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "formats/sha256.h"
#include "packer/source_archive.h"
#include "packer/source_strip.h"
#include "tests/support/bytes.h"
#include "tests/support/pack_commands.h"
#include "tests/support/scratch.h"

namespace sixteen {
namespace {

using Json = nlohmann::json;
using testing::Outcome;
using testing::run_pack;
using testing::Scratch;

TEST(SourceStrip, CommentsGoAndTokensStay) {
  const auto strip = [](const std::string& text) { return strip_cpp(text, "x.cpp"); };
  EXPECT_EQ(strip("// only\n\n  int a = 1;  // one\n\tint b;\n"), "int a = 1;\nint b;\n");
  EXPECT_EQ(strip("const char* u = \"http://x\";  // y\n"), "const char* u = \"http://x\";\n");
  EXPECT_EQ(strip("char q = '\"';  // \"\n"), "char q = '\"';\n");
  EXPECT_EQ(strip("char q = '\\'';  // '\n"), "char q = '\\'';\n");
  EXPECT_EQ(strip("int n = 1'000'000;  // it's\n"), "int n = 1'000'000;\n");
  EXPECT_EQ(strip("int /* a\nb */ c;\n"), "int   c;\n");
  EXPECT_EQ(strip("auto r = R\"x(\n  // kept )\" \"\n)x\";  // gone\nint d;\n"), "auto r = R\"x(\n  // kept )\" \"\n)x\";  \nint d;\n");
  EXPECT_EQ(strip("#define A \\\n  b  // c\n"), "#define A \\\nb\n");
  EXPECT_EQ(strip("a;\n// uncounted: begin\nb;\n// uncounted: end\nc;\n"), "a;\nc;\n");
  EXPECT_EQ(strip("a"), "a\n");
  EXPECT_EQ(strip_hash_lines("# x\n  set(A\n\n  b)  # c\n"), "set(A\nb)  # c\n");
  testing::expect_error("x.cpp: a comment without an end", [&] { strip("a /* b"); });
  testing::expect_error("x.cpp: a raw string without an end", [&] { strip("R\"(a"); });
  testing::expect_error("without its end: \"abc", [&] { strip("\"abc\n\""); });
  testing::expect_error("does not follow its counterpart", [&] { strip("// uncounted: end\n"); });
  testing::expect_error("no \"// uncounted: end\"", [&] { strip("// uncounted: begin\n"); });
}

std::string model_text() {
  std::string text = strip_cpp(read_text_file(SIXTEEN_SOURCE_DIR "/packer/source_model.h"), "source_model.h");
  return text.erase(text.find("#pragma once\n"), 13);
}

TEST(SourceArchive, UnpacksToWhatWentInAndRefusesDamage) {
  const std::vector<CountedSource> sources = {{"CMakeLists.txt", "project(x)\n"}, {"a/b/odd name.cpp", std::string("int x;\n\0\xff\n\n", 11)}, {"a/empty.h", ""}, {"last", "no newline"}};
  const Scratch scratch;
  SourceArchive archive = make_source_archive(sources, model_text());
  EXPECT_EQ(make_source_archive(sources, model_text()).script, archive.script);
  write_file(scratch.path("e.sh"), archive.script);
  ASSERT_EQ(std::system(("cd " + scratch.folder() + " && sh e.sh out").c_str()), 0);
  for (const CountedSource& source : sources) EXPECT_EQ(read_text_file(scratch.path("out/" + source.path)), source.text) << source.path;
  archive.script[archive.script.size() - 20] ^= 4;  // in the last file or the checksum
  write_file(scratch.path("e.sh"), archive.script);
  EXPECT_NE(std::system(("cd " + scratch.folder() + " && sh e.sh out2 2>/dev/null").c_str()), 0);
}

TEST(SourceArchive, OfThisCheckoutIsUnder100000Bytes) {
  const Scratch scratch;
  const Outcome made = run_pack({"source", SIXTEEN_SOURCE_DIR, "-o", scratch.path("sub/e.sh"), "--json"});
  ASSERT_EQ(made.code, 0) << made.err;
  const size_t bytes = std::filesystem::file_size(scratch.path("sub/e.sh"));
  EXPECT_LT(bytes, 100000u) << made.out;
  EXPECT_GT(bytes, 50000u) << made.out;
  std::vector<std::string> paths;
  for (const CountedSource& source : counted_sources(SIXTEEN_SOURCE_DIR)) paths.push_back(source.path);
  for (const char* needed : {"CMakeLists.txt", "evaluator/main.cpp", "graph/cuda/cuda_executor.cpp", "graph/op.h", "model/sgd.cpp"}) {
    EXPECT_EQ(std::count(paths.begin(), paths.end(), needed), 1) << needed;
  }
  for (const std::string& path : paths) EXPECT_FALSE(path.starts_with("trainer/") || path.starts_with("packer/") || path.starts_with("tests/")) << path;
  const Outcome nowhere = run_pack({"source", scratch.folder(), "-o", scratch.path("f.sh")});
  EXPECT_EQ(nowhere.code, 1);
  EXPECT_NE(nowhere.err.find("CMakeLists.txt"), std::string::npos) << nowhere.err;
}

// Three runs of the SP8192 stream, whose targets and bytes the audit knows, as score and run print them.
class Bundle : public ::testing::Test {
 protected:
  Bundle() {
    for (const int seed : {0, 42, 1234}) {
      write_file(scratch_.path("m" + std::to_string(seed) + ".s16"), artifact(seed));
      write_file(scratch_.path("s" + std::to_string(seed) + ".json"), score(seed).dump() + "\n");
      write_file(scratch_.path("t" + std::to_string(seed) + ".jsonl"), "{\"step\":1,\"event\":\"x\"}\n{\"step\":4800,\"loss\":2.4,\"train_seconds\":587." + std::to_string(seed) + "}\n");
    }
    write_file(scratch_.path("eval.toml"), "[eval]\nstride = 64\n");
  }
  static std::string artifact(int seed) { return "not an artifact, but counted: " + std::to_string(seed); }
  Json score(int seed) const {
    const double bpb = 1.0750 + seed * 1e-6;
    const std::string bytes = artifact(seed);
    return {{"bpb", bpb}, {"loss", bpb * std::log(2.0) * 151078222 / 40540160}, {"seconds", 540.25 + seed * 0.01}, {"targets", 40540160}, {"unscored_targets", 0}, {"dropped_targets", 0},
            {"model_bytes", bytes.size()}, {"model_sha256", to_hex(sha256(std::as_bytes(std::span(bytes))))},
            {"method", "sliding windows of 2048, stride 64, score-first training (lr 0.01, 3 epochs), hash embedding of 16384"}, {"ttt_steps", 900}};
  }
  Outcome bundle(std::vector<std::string> more = {}) const {
    std::vector<std::string> args = {"bundle", scratch_.path("m42.s16"), "-o", scratch_.path("out"), "--name", "A test", "--author", "Somebody", "--github-id", "somebody",
                                     "--config", scratch_.path("eval.toml"), "--date", "2026-11-30", "--hardware", "8xH100", "--json"};
    for (const std::string seed : {"0", "42", "1234"}) {
      args.insert(args.end(), {"--seed", seed, "--score", scratch_.path("s" + seed + ".json"), "--log", scratch_.path("t" + seed + ".jsonl")});
    }
    args.insert(args.end(), more.begin(), more.end());
    return run_pack(args);
  }
  void expect_refused(const Outcome& outcome, int code, const std::string& part) const {
    EXPECT_EQ(outcome.code, code) << part;
    EXPECT_NE(outcome.err.find(part), std::string::npos) << outcome.err;
    EXPECT_FALSE(std::filesystem::exists(scratch_.path("out"))) << part;
  }
  const Scratch scratch_;
};

TEST_F(Bundle, IsAFolderThatTheAuditPasses) {
  const Outcome made = bundle();
  ASSERT_EQ(made.code, 0) << made.err;
  const std::string out = scratch_.path("out") + "/";
  const uint64_t code = std::filesystem::file_size(out + "evaluator.sh") + std::filesystem::file_size(out + "eval.toml");
  const Json json = Json::parse(read_text_file(out + "submission.json"));
  EXPECT_NEAR(json.at("val_bpb").get<double>(), 1.0750 + (42 + 1234) * 1e-6 / 3, 1e-12);
  EXPECT_EQ(json.at("bytes_code"), code);
  EXPECT_EQ(json.at("bytes_total"), code + artifact(1234).size());
  EXPECT_EQ(json.at("seeds"), Json({0, 42, 1234}));
  EXPECT_EQ(json.at("seed_results").at("42").at("steps"), 4800);
  EXPECT_EQ(json.at("compliance").at("train_under_600s"), true);
  EXPECT_EQ(json.at("compliance").at("three_seeds"), true);
  const std::string readme = read_text_file(out + "README.md");
  EXPECT_NE(readme.find("# A test: 1.0754 bits per byte"), std::string::npos) << readme;
  EXPECT_NE(readme.find("--config eval.toml --sliding --ttt --hash-embed"), std::string::npos) << readme;
  EXPECT_NE(read_text_file(out + "train_seed42.log").find("\"train_seconds\":587.42"), std::string::npos);  // the log is there as it was
  EXPECT_EQ(read_text_file(out + "m42.s16"), artifact(42));
  const Outcome audit = run_pack({"audit", scratch_.path("out"), "--json"});
  EXPECT_EQ(audit.code, 0) << audit.err << audit.out;
  EXPECT_NE(audit.out.find("of SP8192, within the printed decimals"), std::string::npos) << audit.out;
  EXPECT_NE(audit.out.find("evaluator.sh  (code"), std::string::npos) << audit.out;
}

TEST_F(Bundle, WhatDoesNotFitIsRefusedAndLeavesNothing) {
  expect_refused(bundle({"--seed", "7"}), 2, "one --score for each --seed");
  expect_refused(bundle({"--target-bytes", "90000"}), 1, "over the limit of 90000");
  write_file(scratch_.path("m42.s16"), "another one");
  expect_refused(bundle(), 1, "but no --score is of it");
  write_file(scratch_.path("m42.s16"), artifact(42));
  write_file(scratch_.path("s42.json"), "{\"bpb\": 1}\n");
  expect_refused(bundle(), 1, "is not what 'sixteen-eval score --json' prints");
  write_file(scratch_.path("s42.json"), score(42).dump());
  write_file(scratch_.path("t0.jsonl"), "step 1\n");
  expect_refused(bundle(), 1, "t0.jsonl: line 1");
  write_file(scratch_.path("t0.jsonl"), "");
  std::filesystem::create_directory(scratch_.path("out"));
  const Outcome twice = bundle();
  EXPECT_EQ(twice.code, 1);
  EXPECT_NE(twice.err.find("exists already"), std::string::npos) << twice.err;
  EXPECT_TRUE(std::filesystem::is_empty(scratch_.path("out")));
}

}  // namespace
}  // namespace sixteen
