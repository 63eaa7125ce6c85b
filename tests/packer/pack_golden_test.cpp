// Packing PR 1584's little model as the original did: calibration windows, Hessians, codes, scales, fp16 tensors, and the
// state dict and losses that loading gives. The record's file format (.ptz) is not ours; expected.safetensors holds its content.
#include <gtest/gtest.h>
#include <lzma.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "formats/dtype.h"
#include "model/score.h"
#include "model/shuffled_loader.h"
#include "model/windows.h"
#include "packer/pack.h"
#include "tests/support/golden_eval.h"

namespace sixteen {
namespace {

using testing::floats_of;
using testing::shared_path;

constexpr const char* kFolder = "oracle/artifact/1584/";

struct Golden : testing::GoldenEval {
  Golden()
      : artifact(nlohmann::json::parse(read_text_file(shared_path(std::string(kFolder) + "artifact.json")))),
        expected(shared_path(std::string(kFolder) + "expected.safetensors")) {
    const nlohmann::json &quantiser = artifact.at("quantiser"), &calibration = artifact.at("calibration");
    pack.matrix = {.bits = quantiser.at("matrix_bits"), .clip_sigmas = quantiser.at("matrix_clip_sigmas")};
    pack.embedding = {.bits = quantiser.at("embed_bits"), .clip_sigmas = quantiser.at("embed_clip_sigmas")};
    pack.damping = quantiser.at("damp");
    pack.max_plain_numel = quantiser.at("max_numel_kept_fp16");
    pack.calibration.seq_len = calibration.at("seq_len");
    pack.calibration.batch = calibration.at("sequences_per_batch");
    pack.calibration.windows = calibration.at("batches").get<int64_t>() * pack.calibration.batch;
  }
  Model model() const { return {.config = config, .table = table, .store = store, .path = "golden"}; }
  Hessians golden_hessians() const {
    Hessians result;
    for (const TensorView& tensor : expected.tensors()) {
      if (tensor.name.rfind("hessian.", 0) == 0) result[tensor.name.substr(8)] = floats_of(tensor);
    }
    return result;
  }
  const TensorView& stored(const std::string& name) const { return expected.at("stored." + name); }

  nlohmann::json artifact;  // artifact.json
  SafetensorsFile expected;
  PackConfig pack;
};

const Console kQuiet{.json = false, .quiet = true};

template <class T>
bool same_bytes(const TensorView& tensor, const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return std::ranges::equal(tensor.bytes, bytes);
}

struct Differences {
  int64_t codes = 0, different = 0, beyond_one = 0, scales = 0, quantised = 0, plain = 0;
};

// Counts how codes differ; scales, fp16 tensors, shapes and the choice of what is quantised must be the stored ones.
Differences compare(const Golden& golden, const Artifact& packed) {
  Differences d;
  for (const PackedTensor& t : packed.tensors) {
    if (golden.expected.find("stored." + t.name) != nullptr) {
      EXPECT_EQ(t.bits, 0) << t.name;
      EXPECT_EQ(golden.stored(t.name).shape, t.shape) << t.name;
      EXPECT_TRUE(same_bytes(golden.stored(t.name), t.plain)) << t.name;
      ++d.plain;
      continue;
    }
    const TensorView &codes = golden.stored(t.name + ".q"), &scales = golden.stored(t.name + ".scale");
    EXPECT_EQ(t.bits, t.name == "tok_emb.weight" ? 8 : 6) << t.name;
    EXPECT_EQ(codes.shape, t.shape) << t.name;
    EXPECT_TRUE(same_bytes(scales, t.scales)) << t.name;
    EXPECT_EQ(codes.bytes.size(), t.codes.size());
    const auto* want = reinterpret_cast<const int8_t*>(codes.bytes.data());
    for (size_t i = 0; i < t.codes.size(); ++i) {
      d.different += t.codes[i] != want[i];
      d.beyond_one += std::abs(t.codes[i] - want[i]) > 1;
    }
    d.codes += static_cast<int64_t>(t.codes.size());
    ++d.quantised;
  }
  return d;
}

TEST(PackGolden, CalibrationWindows) {
  REQUIRE_SHARED("oracle/artifact/1584/artifact.json");
  const Golden golden;
  const nlohmann::json& windows = golden.artifact.at("calibration").at("windows_in_order[file,start]");
  ShuffledLoader loader({golden.shard}, 0, 1, golden.pack.calibration.seq_len, golden.config.vocab);
  std::vector<int32_t> x(static_cast<size_t>(golden.pack.calibration.windows * golden.pack.calibration.seq_len)), y(x.size());
  loader.next_batch(golden.pack.calibration.windows, x.data(), y.data());
  ASSERT_EQ(loader.windows().size(), windows.size());
  for (size_t i = 0; i < windows.size(); ++i) EXPECT_EQ(loader.windows()[i].start, windows[i][1].get<int32_t>()) << i;
}

TEST(PackGolden, Hessians) {
  REQUIRE_SHARED("oracle/artifact/1584/artifact.json");
  const Golden golden;
  const auto session = golden.session();
  const Hessians found = collect_hessians(session.get(), golden.shard, golden.pack.calibration, kQuiet),
                 expected = golden.golden_hessians();
  EXPECT_EQ(found.size(), expected.size());
  double worst_of_all = 0;
  for (const auto& [name, want] : expected) {
    ASSERT_EQ(found.count(name), 1u) << name;
    const std::vector<float>& have = found.at(name);
    ASSERT_EQ(have.size(), want.size()) << name;
    double worst = 0, largest = 0;
    for (size_t i = 0; i < want.size(); ++i) {
      worst = std::max(worst, std::abs(static_cast<double>(have[i]) - want[i]));
      largest = std::max(largest, std::abs(static_cast<double>(want[i])));
    }
    EXPECT_LE(worst, 1e-5 * largest) << name;  // artifact.json allows 1e-4; measured 1e-6
    worst_of_all = std::max(worst_of_all, worst / largest);
  }
  RecordProperty("worst_relative", std::to_string(worst_of_all));
}

TEST(PackGolden, CodesAndScales) {
  REQUIRE_SHARED("oracle/artifact/1584/artifact.json");
  const Golden golden;
  const auto session = golden.session();
  const Hessians own = collect_hessians(session.get(), golden.shard, golden.pack.calibration, kQuiet);
  for (const bool use_own : {false, true}) {
    const Artifact packed =
        quantise_model(golden.model(), use_own ? own : golden.golden_hessians(), golden.pack, kQuiet);
    EXPECT_EQ(parse_model_json(packed.config_json, "artifact").dim, golden.config.dim);
    EXPECT_EQ(packed.config_json, to_json(golden.config));
    const Differences d = compare(golden, packed);
    EXPECT_EQ(2 * d.quantised + d.plain, static_cast<int64_t>(golden.artifact.at("stored_entries_in_order").size()));
    EXPECT_EQ(d.beyond_one, 0);
    EXPECT_LE(d.different, d.codes / 1000)
        << (use_own ? "own" : "golden") << " Hessians";  // ties; measured 0, artifact.json allows 1 %
    RecordProperty(use_own ? "codes_different_own_hessians" : "codes_different_golden_hessians",
                   std::to_string(d.different) + " of " + std::to_string(d.codes));
  }
}

uint32_t crc32_of(const void* data, size_t bytes) { return lzma_crc32(static_cast<const uint8_t*>(data), bytes, 0); }

// The stored tensors as an artifact of ours, so that the test of loading depends on no quantiser.
Artifact stored_artifact(const Golden& golden) {
  Artifact result;
  result.config_json = to_json(golden.config);
  for (const ParamSpec& spec : golden.table->specs()) {
    PackedTensor t;
    t.name = spec.name;
    for (int i = 0; i < spec.shape.rank(); ++i) t.shape.push_back(spec.shape[i]);
    if (golden.expected.find("stored." + spec.name) != nullptr) {
      const auto bytes = golden.stored(spec.name).bytes;
      t.plain.assign(bytes.begin(), bytes.end());
    } else {
      const auto codes = golden.stored(spec.name + ".q").bytes, scales = golden.stored(spec.name + ".scale").bytes;
      t.bits = spec.quant == QuantClass::kEmbedding ? 8 : 6;
      t.codes.resize(codes.size());
      std::memcpy(t.codes.data(), codes.data(), codes.size());
      t.scales.resize(scales.size() / sizeof(uint16_t));
      std::memcpy(t.scales.data(), scales.data(), scales.size());
    }
    result.tensors.push_back(std::move(t));
  }
  return result;
}

TEST(PackGolden, LoadedStateDictAndItsLosses) {
  REQUIRE_SHARED("oracle/artifact/1584/artifact.json");
  const Golden golden;
  Artifact artifact = stored_artifact(golden);
  const Bytes file = serialise_artifact(&artifact, {}, golden.pack.stream);
  Model model = unpack(parse_artifact(file, "stored"), "stored");
  for (float& value : model.store.tensor("tok_emb.weight"))
    value = bf16_to_float(float_to_bf16(value));  // as the record loads it
  const nlohmann::json& listed = golden.artifact.at("loaded_state_dict");
  EXPECT_EQ(listed.size(), golden.table->specs().size());
  for (const auto& [name, entry] : listed.items()) {
    const std::span<const float> values = std::as_const(model.store).tensor(name);
    double sum = 0;
    for (const float value : values) sum += value;
    EXPECT_NEAR(sum, entry.at("sum_fp64").get<double>(), 1e-9 * static_cast<double>(values.size())) << name;
    uint32_t crc = crc32_of(values.data(), values.size_bytes());
    if (entry.at("dtype") == "bfloat16") {
      std::vector<uint16_t> halves(values.size());
      std::transform(values.begin(), values.end(), halves.begin(), float_to_bf16);
      crc = crc32_of(halves.data(), halves.size() * sizeof(uint16_t));
    }
    EXPECT_EQ(crc, std::stoul(entry.at("crc32_of_bytes").get<std::string>(), nullptr, 16)) << name;
  }

  Session session(std::shared_ptr<Device>(make_device("cpu", 2)), model.config, model.table);
  session.set_weights(model.store);
  const nlohmann::json& losses = golden.artifact.at("loaded_model_fp32");
  const double tolerance = golden.artifact.at("tolerance").at("losses");
  const int64_t seq = golden.json.at("seq_len");
  for (const auto& [name, stride] :
       std::vector<std::pair<std::string, int64_t>>{{"plain", seq}, {"sliding", golden.json.at("stride")}}) {
    const ScoreSum sum = score_windows(&session, golden.tokens, sliding_windows(golden.targets(), seq, stride, true),
                                       &golden.tables, {}, nullptr, nullptr);
    EXPECT_NEAR(sum.loss(), losses.at(name).at("val_loss").get<double>(), tolerance) << name;
    EXPECT_NEAR(sum.bpb(), losses.at(name).at("val_bpb").get<double>(), tolerance) << name;
  }
}

}  // namespace
}  // namespace sixteen
