// From checkpoint to artifact and back: nothing lost, nothing written over budget, every damaged byte noticed.
#include "packer/pack.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "formats/dtype.h"
#include "formats/shard.h"
#include "model/score.h"
#include "packer/code_size.h"
#include "tests/support/bytes.h"
#include "tests/support/rank_threads.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_model.h"

namespace sixteen {
namespace {

using testing::error_of;
using testing::expect_error;
using testing::Scratch;

const Console kQuiet{.json = false, .quiet = true};

PackConfig tiny_pack() {
  PackConfig config;
  config.max_plain_numel = 256;
  config.calibration.windows = 7;  // the last batch is smaller
  config.calibration.batch = 3;
  config.calibration.seq_len = 32;
  return config;
}

class Pack : public ::testing::Test {
 protected:
  Pack() : config_(testing::tiny_config()), store_(testing::tiny_store(config_)), tokens_(testing::tiny_tokens(2000)) {
    write_shard(shard_, tokens_);
    save_checkpoint(scratch_.path("m.safetensors"), config_, store_);
  }
  std::unique_ptr<Session> session(const ParamStore& store) {
    auto made = std::make_unique<Session>(std::shared_ptr<Device>(make_device("cpu", 2)), config_, store.table);
    made->set_weights(store);
    return made;
  }
  Hessians hessians() { return collect_hessians(session(store_).get(), shard_, tiny_pack().calibration, kQuiet); }
  Artifact artifact() {
    return quantise_model(load_checkpoint(scratch_.path("m.safetensors")), hessians(), tiny_pack(), kQuiet);
  }
  double loss(const ParamStore& store) {
    const std::vector<Window> windows = plain_windows(static_cast<int64_t>(tokens_.size()) - 1, 32, false);
    return score_windows(session(store).get(), tokens_, windows, nullptr, {}, nullptr, nullptr).loss();
  }

  const Scratch scratch_;
  const std::string shard_ = scratch_.path("t_train_000000.bin"), out_ = scratch_.path("m.s16");
  ModelConfig config_;
  ParamStore store_;
  std::vector<uint16_t> tokens_;
};

TEST_F(Pack, RoundTrip) {
  Artifact packed = artifact();
  const PackReport report = write_verified(&packed, out_, 1000, tiny_pack(), false);
  EXPECT_EQ(report.artifact_bytes, std::filesystem::file_size(out_));
  EXPECT_EQ(report.code_bytes, 1000u);
  const Model model = load_model(out_);
  EXPECT_TRUE(model.packed);
  EXPECT_EQ(to_json(model.config), to_json(config_));
  EXPECT_EQ(model.file_bytes, report.artifact_bytes);
  EXPECT_EQ(model.digest, report.digest);
  EXPECT_EQ(report.digest, sha256(MappedFile(out_).bytes()));  // what sha256sum prints
  int64_t quantised = 0;
  for (const PackedTensor& t : packed.tensors) {
    const std::span<const float> values = model.store.tensor(t.name), before = std::as_const(store_).tensor(t.name);
    const std::vector<float> expected = t.dequantise();
    EXPECT_TRUE(std::equal(values.begin(), values.end(), expected.begin(), expected.end())) << t.name;
    quantised += t.bits > 0;
    if (t.bits > 0) continue;
    for (size_t i = 0; i < values.size(); ++i)
      EXPECT_NEAR(values[i], before[i], 6e-4 * std::abs(before[i]) + 1e-7);  // fp16
  }
  EXPECT_EQ(quantised, 4 * 6 + 1);  // six matrices a layer and the embedding
}

TEST_F(Pack, QuantisationCostsLittle) {
  Artifact packed = artifact();
  write_verified(&packed, out_, 0, tiny_pack(), false);
  const double before = loss(store_), after = loss(load_model(out_).store);
  EXPECT_NE(after, before);
  EXPECT_NEAR(after, before, 0.02 * std::log(2.0));
  const Model rounded = unpack(
      quantise_model({.config = config_, .table = store_.table, .store = store_, .path = ""}, {}, tiny_pack(), kQuiet),
      "");
  EXPECT_NEAR(loss(rounded.store), before, 0.1);
}

// By rules: every kind of storage reads back as it was written, each stream under its own codec; and the artifact says how.
TEST_F(Pack, RulesQuantisersAndCodecs) {
  ConfigFile file = ConfigFile::parse(R"(
[pack]
codec = "zstd"
level = 3
[pack.codecs.plain]
codec = "xz"
level = 6
[[pack.rules]]
class = "small"
mode = "fp32"
[[pack.rules]]
match = ["tok_emb"]
mode = "int8"
quantiser = "row_quantile"
round_bf16 = true
[[pack.rules]]
match = ["mlp.fc"]
mode = "int6"
quantiser = "clip_matrix"
min_clip = 0
[[pack.rules]]
match = ["mlp.proj"]
mode = "int5"
quantiser = "clip_row"
min_clip = 0
[[pack.rules]]
match = ["attn.c_v"]
mode = "bf16"
[[pack.rules]]
match = ["attn.c_q"]
mode = "int4"
quantiser = "nearest"
clip_sigmas = 2.5
[[pack.rules]]
mode = "int6"
)",
                                      "r.toml");
  const PackConfig config = read_pack_config(file.section("pack"), 32, "r.toml");
  const Model before = load_checkpoint(scratch_.path("m.safetensors"));
  for (const Hessians& known : {hessians(), Hessians{}}) {
    Artifact packed = quantise_model(before, known, config, kQuiet);
    const std::string last = known.empty() ? "7:nearest" : "7:gptq";
    EXPECT_TRUE(packed.metadata.at(kQuantisersKey).starts_with("6:nearest " + last + " 6:nearest")) << packed.metadata.at(kQuantisersKey);
    EXPECT_NE(packed.metadata.at(kQuantisersKey).find("3:clip_matrix 3:clip_matrix"), std::string::npos);
    EXPECT_NE(packed.metadata.at(kRulesKey).find("name has attn.c_v: bf16\nname has attn.c_q: int4, nearest, clip_sigmas 2.5\n"),
              std::string::npos);
    write_verified(&packed, out_, 0, config, false);
    for (const StreamInfo& stream : packed.streams) {
      EXPECT_EQ(stream.options.codec, stream.name == "plain" ? Codec::kXz : Codec::kZstd) << stream.name;
    }
    const Model after = load_model(out_);
    for (const ParamSpec& spec : before.table->specs()) {
      const std::span<const float> a = before.store.tensor(spec.name), b = after.store.tensor(spec.name);
      double error = 0, size = 0;
      for (size_t i = 0; i < a.size(); ++i) {
        error += std::pow(double(a[i]) - b[i], 2);
        size += std::pow(a[i], 2);
        EXPECT_TRUE(spec.quant != QuantClass::kSmall || a[i] == b[i]) << spec.name;
        EXPECT_TRUE(spec.quant != QuantClass::kEmbedding || round_to_bf16(b[i]) == b[i]);
      }
      // The widest step is 12.85 / 31 sigmas; its square over 12 is 0.0143, and GPTQ moves weights to spare outputs.
      EXPECT_LT(error, 0.04 * size) << spec.name;
    }
  }
  const Artifact by_default = artifact();
  EXPECT_EQ(by_default.metadata.size(), 1u);  // the producer: nothing to tell
  const Artifact rounded = quantise_model(before, {}, tiny_pack(), kQuiet);
  EXPECT_NE(rounded.metadata.at(kQuantisersKey).find("4:nearest"), std::string::npos);
}

TEST_F(Pack, PackingTwiceGivesTheSameBytes) {
  Artifact first = artifact(), second = artifact();
  write_verified(&first, out_, 0, tiny_pack(), false);
  write_verified(&second, scratch_.path("again.s16"), 0, tiny_pack(), false);
  EXPECT_EQ(read_text_file(out_), read_text_file(scratch_.path("again.s16")));
}

TEST_F(Pack, OverBudgetWritesNothing) {
  Artifact packed = artifact();
  PackConfig config = tiny_pack();
  const size_t files = scratch_.count();
  const int64_t bytes = static_cast<int64_t>(serialise_artifact(&packed, {}, config.stream).size());
  config.target_bytes = bytes + 99;
  expect_error("over the target of " + std::to_string(bytes + 99) + " by 1",
               [&] { write_verified(&packed, out_, 100, config, false); });
  EXPECT_EQ(scratch_.count(), files);
  write_file(out_, "older");
  EXPECT_NE(error_of([&] { write_verified(&packed, out_, 100, config, false); }), "");
  EXPECT_EQ(read_text_file(out_), "older");
  write_verified(&packed, out_, 100, config, true);  // told to go on
  write_verified(&packed, out_, 99, config, false);  // exactly at the target
  EXPECT_EQ(std::filesystem::file_size(out_), static_cast<uint64_t>(bytes));
}

// What cannot be read back must not replace a good file, and a device must survive.
TEST_F(Pack, AFailureLeavesTheOlderFile) {
  Artifact packed = artifact();
  write_file(out_, "older");
  Artifact infinite = packed;
  for (PackedTensor& t : infinite.tensors) {
    if (t.bits > 0) t.scales[0] = 0x7c00;  // fp16 infinity
  }
  EXPECT_NE(error_of([&] { write_verified(&infinite, out_, 0, tiny_pack(), false); }), "");
  EXPECT_EQ(read_text_file(out_), "older");
  Artifact incomplete = packed;
  incomplete.tensors.pop_back();
  expect_error("missing", [&] { write_verified(&incomplete, out_, 0, tiny_pack(), false); });
  EXPECT_EQ(read_text_file(out_), "older");
  expect_error("/dev/full", [&] { write_verified(&packed, "/dev/full", 0, tiny_pack(), false); });
  write_verified(&packed, "/dev/null", 0, tiny_pack(), false);
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/full"));
}

TEST_F(Pack, EveryDamagedByteIsRefused) {
  Artifact packed = artifact();
  PackConfig config = tiny_pack();
  config.stream = {.codec = Codec::kZstd, .level = 3, .shuffle_stride = 2};
  write_verified(&packed, out_, 0, config, false);
  const std::string good = read_text_file(out_), path = scratch_.path("bad.s16");
  std::string bad = good;
  for (size_t i = 0; i < good.size(); ++i) {
    bad[i] = static_cast<char>(bad[i] ^ (1 << i % 8));
    ASSERT_NE(error_of([&] { parse_artifact(std::as_bytes(std::span(bad)), "bad"); }), "") << "byte " << i;
    if (i % 1009 < 4) {  // the whole way for some, the magic number among them
      write_file(path, bad);
      expect_error(path, [&] { load_model(path); });
    }
    bad[i] = good[i];
  }
}

TEST_F(Pack, ValuesBeyondFp16AreRefused) {
  store_.tensor("blocks.1.attn_scale")[3] = 70000;
  expect_error("blocks.1.attn_scale: value 70000 at 3", [&] {
    quantise_model({.config = config_, .table = store_.table, .store = store_, .path = ""}, {}, tiny_pack(), kQuiet);
  });
}

// X^T X from the rows themselves is out of reach here, but its diagonal sum is known for normed inputs: rows of squared norm
// dim / (layer + 1), once for each window and visit.
TEST_F(Pack, HessiansSumTheVisitsOfLoopedLayers) {
  const Hessians found = hessians();
  const double rows = 7 * 32, batches = 3;
  EXPECT_EQ(found.size(), 4 * 4 + 1u);
  for (int layer = 0; layer < 4; ++layer) {
    const std::vector<float>& h = found.at("blocks." + std::to_string(layer) + ".mlp.fc.weight");
    double trace = 0;
    for (int64_t i = 0; i < config_.dim; ++i) trace += h[static_cast<size_t>(i * config_.dim + i)];
    const double visits = layer == 1 || layer == 2 ? 2 : 1;
    const double expected = visits * rows * static_cast<double>(config_.dim) / (layer + 1) / batches;
    EXPECT_NEAR(trace, expected, 1e-3 * expected) << "layer " << layer;
  }
  EXPECT_EQ(hessian_for(found, "blocks.2.attn.c_k.weight"), &found.at("blocks.2.attn.c_q.weight"));
  EXPECT_EQ(hessian_for(found, "blocks.2.attn.c_v.weight"), &found.at("blocks.2.attn.c_q.weight"));
  EXPECT_EQ(hessian_for(found, "blocks.2.attn.q_gain"), nullptr);
}

TEST_F(Pack, HessiansAreTheSameForAnyNumberOfRanks) {
  for (const int64_t windows : {23, 1}) {  // twelve batches in eight leaves; one, fewer than ranks
    CalibrationConfig config = tiny_pack().calibration;
    config.windows = windows;
    config.batch = 2;
    Hessians alone;
    for (const int ranks : {1, 2, 3, 4}) {
      std::vector<Hessians> found(static_cast<size_t>(ranks));
      testing::on_ranks(ranks, [&](int rank, std::shared_ptr<World> world) {
        Session own(make_device("cpu", 1, std::move(world)), config_, store_.table);
        own.set_weights(store_);
        found[static_cast<size_t>(rank)] = collect_hessians(&own, shard_, config, kQuiet);
      });
      if (ranks == 1) alone = found.front();
      ASSERT_FALSE(alone.empty());
      for (const Hessians& one : found) EXPECT_EQ(one, alone) << ranks << " ranks, " << windows << " windows";
    }
  }
}

TEST_F(Pack, CalibrationRefusesForeignShards) {
  tokens_[700] = 96;
  const std::string foreign = scratch_.path("foreign.bin");
  write_shard(foreign, tokens_);
  const auto s = session(store_);
  PackConfig config = tiny_pack();
  config.calibration.windows = 60;
  expect_error(foreign, [&] { collect_hessians(s.get(), foreign, config.calibration, kQuiet); });
  const std::string little = scratch_.path("little.bin");
  write_shard(little, std::span(tokens_).first(32));
  expect_error("33 tokens", [&] { collect_hessians(s.get(), little, tiny_pack().calibration, kQuiet); });
}

TEST_F(Pack, HessiansComeBackFromTheirFileAndServeTheirWeightsOnly) {
  const Hessians collected = hessians();
  const std::string path = scratch_.path("h.safetensors");
  save_hessians(path, collected, store_);
  EXPECT_EQ(load_hessians(path, store_, "m"), collected);
  const std::string bytes = read_text_file(path);
  std::string damaged = bytes;
  damaged[damaged.size() - 3] ^= 1;
  write_file(path, damaged);
  expect_error("h.safetensors: damaged", [&] { load_hessians(path, store_, "m"); });
  write_file(path, bytes);
  store_.tensor("blocks.1.attn_scale")[3] += 1;
  expect_error("other weights than those of m", [&] { load_hessians(path, store_, "m"); });
  save_checkpoint(path, config_, store_);
  expect_error("expected Hessians", [&] { load_hessians(path, store_, "m"); });
}

TEST(CodeSize, CountsEachFileOnce) {
  const Scratch scratch;
  std::filesystem::create_directories(scratch.path("src/deep"));
  write_file(scratch.path("src/a.cpp"), std::string(10, 'a'));
  write_file(scratch.path("src/deep/b.cpp"), std::string(200, 'b'));
  write_file(scratch.path("c.cpp"), std::string(3000, 'c'));
  const std::vector<CountedFile> files =
      count_files({scratch.path("src"), scratch.path("c.cpp"), scratch.path("src/../src/a.cpp")});
  EXPECT_EQ(files.size(), 3u);
  EXPECT_EQ(total_bytes(files), 3210u);
  EXPECT_TRUE(std::is_sorted(files.begin(), files.end(), [](const auto& a, const auto& b) {
    return std::filesystem::canonical(a.path) < std::filesystem::canonical(b.path);
  }));
  EXPECT_EQ(total_bytes(count_files({})), 0u);
  expect_error(scratch.path("absent"), [&] { count_files({scratch.path("c.cpp"), scratch.path("absent")}); });
}

}  // namespace
}  // namespace sixteen
