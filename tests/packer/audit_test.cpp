// sixteen-pack audit: four totals, wrappers as Python makes them, a record's logs with planted faults (legality 4.10, 4.12), significance.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "packer/python_wrapper.h"
#include "tests/support/pack_commands.h"
#include "tests/support/scratch.h"

namespace sixteen {
namespace {

using Json = nlohmann::json;
using testing::Outcome;
using testing::run_pack;
using testing::Scratch;

// Python: base64.b85encode(lzma.compress(s, preset=9|EXTREME)) and the same with format=FORMAT_RAW, filters=[{"id": FILTER_LZMA2}], of
// "# a script\n" and 14 lines x0 = 'md5 of "0"', ...: 575 bytes.
constexpr char kXz[] =
    "{Wp48S^xk9=GL@E0stWa8~^|S5YJf5-~v7YeO&+%hzO$lZ}48)jyB?opQFH)A<S~IONKMax@6>vUJ$Ey3((us);ukOLHL~xwD@Qacg#{bx2Pye"
    "P)DA$H0|H(g`U93f@nnzz3gDig|y}Js@CO(8#)n@y>3I530Aa7t5V~y0Ly%N4a{^k@fP4xkJ#$2qK`{ly9WtxlyaqGC<AD#LH9bT6GLAO>@bh4"
    "sDe%(0m8QZyPl6VL`N%Mm*;%H8D@<bi_2eQ>yU~c73a^P31Wz+5T1YRqCu7q5TDPmDu4CUecV-5UX}|)JaJRqk}N!+3}`K~gLm*v&k27If(9@~"
    "9L=$k`K(ycVW32ZFEKqx@K)zoqmA-KF>9xhZHbN_YA%Z_?vc_dzp;=J_%Y<|E5fd}mSVZg29T)}=+~atGBuKU9$_Zl!>y}Pu)qb`3`h>s+1r}j"
    "FCLiJ0*vH;8S4`)<%!qsVps(W3hF$v`B1$0$pEXQMrsSWVMIHBKe0?u0$$tpajy|Jjh%RN$KF|k00000;S*q(SBbkv00Ef;zXSjPmLG)tvBYQl"
    "0ssI200dcD";
constexpr char kRaw[] =
    "-~v7YeO&+%hzO$lZ}48)jyB?opQFH)A<S~IONKMax@6>vUJ$Ey3((us);ukOLHL~xwD@Qacg#{bx2PyeP)DA$H0|H(g`U93f@nnzz3gDig|y}J"
    "s@CO(8#)n@y>3I530Aa7t5V~y0Ly%N4a{^k@fP4xkJ#$2qK`{ly9WtxlyaqGC<AD#LH9bT6GLAO>@bh4sDe%(0m8QZyPl6VL`N%Mm*;%H8D@<b"
    "i_2eQ>yU~c73a^P31Wz+5T1YRqCu7q5TDPmDu4CUecV-5UX}|)JaJRqk}N!+3}`K~gLm*v&k27If(9@~9L=$k`K(ycVW32ZFEKqx@K)zoqmA-K"
    "F>9xhZHbN_YA%Z_?vc_dzp;=J_%Y<|E5fd}mSVZg29T)}=+~atGBuKU9$_Zl!>y}Pu)qb`3`h>s+1r}jFCLiJ0*vH;8S4`)<%!qsVps(W3hF$v"
    "`B1$0$pEXQMrsSWVMIHBKe0?u0$$tpajy|Jjh%RN$KF|k00";

Bytes bytes_of(const std::string& text) {
  Bytes bytes(text.size());
  std::transform(text.begin(), text.end(), bytes.begin(), [](char c) { return static_cast<std::byte>(c); });
  return bytes;
}

TEST(PythonWrapper, Base85IsPythons) {
  EXPECT_EQ(encode_base85(bytes_of("hello world!!")), "Xk~0{Zy<MXa%^NFAp");
  EXPECT_EQ(decode_base85("Xk~0{Zy<MXa%^NFAp"), bytes_of("hello world!!"));
  EXPECT_EQ(encode_base85(bytes_of(std::string("\0\xff\x80", 3))), "0RMm");
  EXPECT_FALSE(decode_base85("ab\"cd"));
  EXPECT_FALSE(decode_base85("~~~~~"));  // above 2^32
  EXPECT_EQ(decode_base64("aGVsbG8="), bytes_of("hello"));
}

TEST(PythonWrapper, PythonsWrappersOpenAndOursOpenInPython) {
  const std::string head = "import lzma as L,base64 as B\nexec(L.decompress(B.b85decode(\"";
  const auto xz = unwrap_python(head + kXz + "\")))\n"), raw = unwrap_python(head + kRaw + "\"),format=L.FORMAT_RAW,filters=[{\"id\":L.FILTER_LZMA2}]))\n");
  ASSERT_TRUE(xz && raw);
  EXPECT_EQ(xz->source.size(), 575u);
  EXPECT_EQ(xz->source.substr(0, 16), "# a script\nx0 = ");
  EXPECT_EQ(raw->source, xz->source);
  EXPECT_EQ(unwrap_python(wrap_python(xz->source))->source, xz->source);
  EXPECT_EQ(unwrap_python(wrap_python(wrap_python(std::string(5000, 'x') + xz->source)))->source.size(), 5575u);  // a wrapper in a wrapper
  EXPECT_FALSE(unwrap_python("print('b85decode(\"abc\")')"));
  EXPECT_FALSE(unwrap_python("exec(b85decode(\"abcde\"))"));
  EXPECT_NE(unwrap_python(head + std::string(1000, 'a') + "\")))")->problem, "");
  if (std::system("command -v python3 >/dev/null") != 0) GTEST_SKIP() << "no python3";
  const Scratch scratch;
  write_file(scratch.path("w.py"), wrap_python("import sys\nopen(sys.argv[1], 'w').write('it ran')\n"));
  ASSERT_EQ(std::system(("python3 " + scratch.path("w.py") + " " + scratch.path("o")).c_str()), 0);
  EXPECT_EQ(read_text_file(scratch.path("o")), "it ran");
}

// A record's folder of three clean logs; numbers of a CaseOps row: 151,074,499 bytes of 47,851,520 targets.
class Record {
 public:
  Record() {
    script = "import helper\n";
    for (int i = 0; i < 40; ++i) script += "value_" + std::to_string(i) + " = " + std::to_string(i) + "\n";
    for (const int seed : {0, 42, 1234}) bpb[seed] = seed == 0 ? 1.0610 : seed == 42 ? 1.0612 : 1.0617;
  }
  std::string log(int seed) const {
    char text[4096];
    const double loss = bpb.at(seed) * bytes_factor * std::log(2.0) * 151074499 / 47851520;
    std::snprintf(text, sizeof text,
                  "hidden: %s\nseed: %d\ntrain_shards: %d\nval_tokens: %d\n1/20000 train_loss: 9.0 train_time: 0.%dms\n"
                  "stopping_early: wallclock_cap train_time: %dms step: 4800/20000\nGPTQ:collected 67 Hessians in %ss\n"
                  "Serialized model quantized+pergroup: 15900000 bytes\nCode size (uncompressed): 160000 bytes\nCode size (compressed): %d bytes\n"
                  "Total submission size quantized+pergroup: %d bytes\n"
                  "ngram_tilt:hints total=1 gated=1 within_gate=%d word_gate=0\ndiagnostic quantized val_loss:2.4 val_bpb:1.1 eval_time:700000ms\n"
                  "quantized_ttt_phased val_loss:%.8f val_bpb:%.8f eval_time:%dms\ntotal_eval_time:%.1fs\n",
                  mixed && seed == 42 ? "640" : width.c_str(), seed, shards, val_tokens, seed, train_ms + seed % 7, hessians.c_str(), code_bytes, 15900000 + code_bytes + third_blob, gate, loss,
                  bpb.at(seed), eval_ms, eval_ms / 1000.0);
    return text;
  }
  // Writes it and audits it.
  Outcome audit(std::vector<std::string> more = {}) const {
    write_file(scratch.path("train_gpt.py"), script);
    write_file(scratch.path("helper.py"), "x = 1\n");
    write_file(scratch.path("README.md"), "scores 1.0613\n");
    for (const int seed : {0, 42, 1234}) write_file(scratch.path("train_seed" + std::to_string(seed) + ".log"), log(edited && seed == 42 ? 0 : seed));
    write_file(scratch.path("submission.json"), submission.dump());
    std::vector<std::string> args = {"audit", scratch.folder(), "--json"};
    args.insert(args.end(), more.begin(), more.end());
    return run_pack(args);
  }
  Json json(const Outcome& outcome) const {
    const std::string text = outcome.out.substr(0, outcome.out.size() - 1);
    return Json::parse(text.substr(text.rfind('\n') + 1));
  }

  Scratch scratch;
  std::string script, width = "512", hessians = "3.5";
  std::map<int, double> bpb;
  int shards = 80, val_tokens = 47851520, train_ms = 596000, code_bytes = 30000, third_blob = 0, gate = 0, eval_ms = 540000;
  double bytes_factor = 1;
  bool edited = false, mixed = false;
  Json submission{{"val_bpb", 1.0613}, {"val_bpb_std", 0.00036056}, {"bytes_total", 15930000},
                  {"seed_results", {{"0", {{"val_bpb", 1.0610}}}, {"42", {{"val_bpb", 1.0612}}}, {"1234", {{"val_bpb", 1.0617}}}}}};
};

std::string faults(const Json& json) {
  std::string names;
  for (const Json& f : json.at("findings")) {
    if (f.at("result") == "FAULT") names += f.at("check").get<std::string>() + ": " + f.at("detail").get<std::string>() + "\n";
  }
  return names;
}

TEST(Audit, ACleanRecordPasses) {
  const Record record;
  const Outcome outcome = record.audit();
  EXPECT_EQ(outcome.code, 0) << outcome.err << outcome.out;
  const Json json = record.json(outcome);
  EXPECT_EQ(faults(json), "");
  EXPECT_EQ(json.at("logged_bytes"), 15930000);
  EXPECT_EQ(json.at("total_bytes"), 15900000 + record.script.size() + 6);  // the model from the logs, both scripts raw
  EXPECT_NE(outcome.out.find("helper.py  (code, often left out)"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("15,930,000 bytes = 15.930 MB (15.192 MiB)"), std::string::npos) << outcome.out;
}

void expect_fault(const Record& record, const std::string& part) {
  const Outcome outcome = record.audit();
  EXPECT_EQ(outcome.code, 1) << part;
  EXPECT_NE(faults(record.json(outcome)).find(part), std::string::npos) << part << "\n" << outcome.out;
}

template <class Change>
void expect_fault_after(Change change, const std::string& part) {
  Record record;
  change(&record);
  expect_fault(record, part);
}

TEST(Audit, PlantedFaultsInLogsAreFound) {
  expect_fault_after([](Record* r) { r->bytes_factor = 1.1671; }, "the leading space is counted twice");
  expect_fault_after([](Record* r) { r->bytes_factor = 1.0413; }, "byte-fallback tokens are counted as 3 bytes");
  expect_fault_after([](Record* r) { r->bytes_factor = 1.0895; }, "CaseOps text is counted without its sidecar");
  expect_fault_after([](Record* r) { r->val_tokens = 9662464; }, "only a part of the validation set");
  expect_fault_after([](Record* r) { r->third_blob = 8750000; }, "a third blob?");
  expect_fault_after([](Record* r) { r->hessians = "6.9"; }, "Hessians (6.9 s) included");
  expect_fault_after([](Record* r) { r->eval_ms = 617000; }, "evaluation time: train_seed0.log: 617 s of 600");
  expect_fault_after([](Record* r) { r->shards = 1499; }, "leaves validation documents in training");
  expect_fault_after([](Record* r) { r->gate = 12; }, "look at the target's class");
  expect_fault_after([](Record* r) { r->mixed = true; }, "one configuration: train_seed0.log and train_seed42.log: hidden is 512 and 640");
  expect_fault_after([](Record* r) { r->edited = true; }, "seeds: 3 printed, 2 different");                            // (13)
  expect_fault_after([](Record* r) { r->submission["val_bpb"] = 1.0600; }, "the mean of 3 logs");                      // (13)
  expect_fault_after([](Record* r) { r->submission["val_bpb_std"] = 0.00029439; }, "it is the population's");          // (12)
  expect_fault_after([](Record* r) { r->submission["seed_results"]["42"]["val_bpb"] = 1.06; }, "submission.json: seed 42");
}

TEST(Audit, OverTheLimitSaysWhichTotal) {
  Record record;
  record.code_bytes = 100001;
  const Outcome outcome = record.audit();
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.out.find("A  16,000,001 bytes = 16.000 MB (15.259 MiB), OVER by 1"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("it would fit 16 MiB, but the limit is decimal"), std::string::npos) << outcome.out;  // (15)
  EXPECT_NE(outcome.err.find("16000001 bytes is 1 over the limit of 16000000"), std::string::npos) << outcome.err;
}

TEST(Audit, WrappersAndLibrariesAreShown) {
  Record record;
  record.script = wrap_python(record.script + std::string(3000, '#'));
  write_file(record.scratch.path("kernel.so"), std::string(5000, 'k'));
  const Outcome outcome = record.audit();
  EXPECT_NE(outcome.out.find("a wrapper of "), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("kernel.so  (library, often left out)"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("5000 bytes of compiled code"), std::string::npos) << outcome.out;
  write_file(record.scratch.path("big.py"), "t = '" + std::string(5000, 'z') + "'\n");
  EXPECT_NE(record.audit().out.find("holds a literal of 5000 characters"), std::string::npos);
}

TEST(Audit, BytesBehindAnArtifactAreRefused) {  // (14); the format's own tests flip and cut every byte
  const Scratch scratch;
  write_file(scratch.path("m.s16"), std::string("S16A") + std::string(200, '\0'));
  const Outcome outcome = run_pack({"audit", scratch.path("m.s16")});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.err.find("m.s16"), std::string::npos) << outcome.err;
}

TEST(Audit, DamagedFilesAndWrongFlagsAreOneLine) {
  const Scratch scratch;
  EXPECT_EQ(run_pack({"audit"}).code, 2);
  EXPECT_EQ(run_pack({"audit", scratch.path("none")}).code, 1);
  EXPECT_EQ(run_pack({"audit", "1.0,1.1", "--significance", "1.2,1.3"}).code, 2);  // bytes per token are unknown
  std::filesystem::create_directory(scratch.path("r"));
  write_file(scratch.path("r/submission.json"), "{\"val_bpb\": ");
  const Outcome outcome = run_pack({"audit", scratch.path("r")});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.err.find("submission.json"), std::string::npos) << outcome.err;
}

TEST(Audit, SignificanceInBothUnitsUnderBothBars) {
  const auto test = [](const std::string& now, const std::string& before) {
    const Outcome outcome = run_pack({"audit", now, "--significance", before, "--bytes-per-token", "3.7266", "--json"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    const std::string text = outcome.out.substr(0, outcome.out.size() - 1);
    return Json::parse(text.substr(text.rfind('\n') + 1)).at("significance");
  };
  // 0.0057 bits apart with deviations of 0.0001: more than 0.005 nats a token (0.00194 bits), less than 0.005 nats a byte (0.00721).
  const Json clear = test("1.0600,1.0601,1.0602", "1.0657,1.0658,1.0659");
  EXPECT_NEAR(clear.at("tests").at("token").at("delta_bpb"), 0.00194, 5e-6);
  EXPECT_NEAR(clear.at("tests").at("byte").at("delta_bpb"), 0.00721, 5e-6);
  EXPECT_EQ(clear.at("tests").at("token").at("readme_bar"), true);
  EXPECT_EQ(clear.at("tests").at("byte").at("readme_bar"), false);
  EXPECT_EQ(clear.at("practice_bar"), true);
  EXPECT_NEAR(clear.at("tests").at("none").at("permutation_p"), 1.0 / 20, 1e-12);  // the lowest of C(6, 3) sums
  EXPECT_NEAR(clear.at("tests").at("none").at("welch_df"), 4, 1e-6);                // equal deviations
  // No difference: nothing is reached.
  const Json none = test("1.06,1.07,1.08", "1.061,1.071,1.078");
  EXPECT_EQ(none.at("practice_bar"), false);
  EXPECT_EQ(none.at("tests").at("none").at("paired_p"), -1);  // seeds are unknown
  // A folder's logs carry seeds: paired.
  Record record;
  const Outcome folder = record.audit({"--significance", record.scratch.folder()});
  EXPECT_EQ(folder.code, 0) << folder.err;
  EXPECT_GE(record.json(folder).at("significance").at("tests").at("none").at("paired_p"), 0.0);
}

}  // namespace
}  // namespace sixteen
