// Resume state: golden header, round trip to the last bit, every flip and cut refused.
#include "formats/train_state.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/bytes.h"
#include "tests/support/scratch.h"

namespace sixteen {
namespace {

using testing::ByteVector;
using testing::expect_error;
using testing::Scratch;

TrainProgress progress() {
  return {12, 1234.1, std::string(62, '0') + "af", {{"order", "5 7"}, {"rng", "PCG64 123"}}};
}

const ByteVector kMomentum = testing::from_hex("00 00 80 3f  00 00 00 c0");

std::string write_sample(const Scratch& scratch) {
  const TensorView tensor{"muon/w", DType::kF32, {2, 1}, kMomentum, 0};
  write_train_state(scratch.path("run.state"), progress(), std::span(&tensor, 1));
  return scratch.path("run.state");
}

// docs/FORMATS.md explains these bytes. The hash was computed by a Python program written from that page.
TEST(TrainState, GoldenBytes) {
  const Scratch scratch;
  const std::string expected =
      R"({"__metadata__":{"config_hash":")" + std::string(62, '0') + R"(af","elapsed_ms":"1234.0999999999999",)"
      R"("format":"sixteen-train-state","format_version":"1","loader.order":"5 7","loader.rng":"PCG64 123",)"
      R"("sha256":"@","step":"12"},"muon/w":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}})";
  const std::string text = read_text_file(write_sample(scratch));
  const size_t hash = expected.find('@');
  EXPECT_EQ(text.substr(8, hash), expected.substr(0, hash));
  EXPECT_EQ(text.substr(8 + hash, 64), "3248fc682971197ee3f0624106bef8872f2a6342be3b1d44df144765f53d2dbe");
  EXPECT_EQ(text.substr(8 + hash + 64, expected.size() - hash - 1), expected.substr(hash + 1));
}

TEST(TrainState, RoundTrip) {
  const Scratch scratch;
  const TrainStateFile state(write_sample(scratch));
  EXPECT_EQ(state.progress().step, 12);
  EXPECT_EQ(state.progress().elapsed_ms, 1234.1);
  EXPECT_EQ(state.progress().loader, progress().loader);
  const std::vector<int64_t> shape = {2, 1}, other = {1, 2};
  EXPECT_TRUE(std::ranges::equal(state.at("muon/w", DType::kF32, shape).bytes, kMomentum));
  expect_error("expected F32 [ 1 2 ], found F32 [ 2 1 ]", [&] { state.at("muon/w", DType::kF32, other); });
  expect_error("expected F16", [&] { state.at("muon/w", DType::kF16, shape); });
  expect_error("is missing", [&] { state.at("muon/v", DType::kF32, shape); });
  state.check_config(progress().config_hash);
  expect_error("another configuration", [&] { state.check_config(std::string(64, '1')); });
}

TEST(TrainState, EveryCutAndEveryFlipIsRefused) {
  const Scratch scratch;
  const ByteVector file = testing::from_text(read_text_file(write_sample(scratch)));
  const auto read = [&](const ByteVector& bytes) {  // a plain write: thousands of fsyncs would take minutes
    std::vector<TensorView> tensors;
    std::map<std::string, std::string> metadata;
    parse_safetensors(bytes, "x.state", &tensors, &metadata);
    verify_train_state(tensors, metadata, "x.state");
  };
  testing::expect_length_checked(file, read);
  EXPECT_EQ(testing::count_accepted_flips(file, read), 0u);
}

TEST(TrainState, MetadataIsChecked) {
  const std::map<std::string, std::string> good = {
      {"format", "sixteen-train-state"}, {"format_version", "1"},       {"step", "3"},
      {"elapsed_ms", "0"},               {"config_hash", std::string(64, 'a')}, {"sha256", "unchecked here"}};
  EXPECT_EQ(parse_train_progress(good, "x.state").step, 3);
  const auto refused = [&](const std::string& part, const char* key, const char* value) {
    auto bad = good;
    bad[key] = value;
    expect_error(part, [&] { parse_train_progress(bad, "x.state"); });
  };
  refused("expected \"1\", found \"2\"", "format_version", "2");
  refused("format: expected", "format", "pt");
  for (const char* value : {"-1", "", "1.5", "9223372036854775808", "0x1", " 1", "1 "}) refused("step", "step", value);
  for (const char* value : {"-1", "nan", "inf", "1,5", ""}) refused("elapsed_ms", "elapsed_ms", value);
  refused("64 hex digits", "config_hash", "A");
  refused("metadata keys", "unknown", "x");
  for (const auto& [key, value] : good) {
    auto bad = good;
    bad.erase(key);
    expect_error("metadata " + key + " is missing", [&] { parse_train_progress(bad, "x.state"); });
  }
}

}  // namespace
}  // namespace sixteen
