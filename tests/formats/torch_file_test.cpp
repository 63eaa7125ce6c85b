// PyTorch files: containers told apart, tensors as views of storages, and files that lie about either.
#include "formats/torch_file.h"

#include <gtest/gtest.h>

#include "tests/support/torch_writer.h"

namespace sixteen {
namespace {

using testing::ByteVector;
using testing::bytes_of;
using testing::error_of;
using testing::expect_error;
using testing::from_text;
using testing::PickleWriter;
using testing::torch_zip;
using namespace std::string_literals;

const ByteVector kStorage = bytes_of(std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});

PickleWriter view(const std::vector<int64_t>& shape, const std::vector<int64_t>& strides, int64_t offset = 0) {
  PickleWriter pickle;
  pickle.tensor("FloatStorage", "0", 12, shape, strides, offset);
  return pickle;
}

std::vector<float> values_of(const PickleWriter& pickle) {
  const TorchFile file(torch_zip(pickle.finish(), {kStorage}), "x.pt");
  const Bytes bytes = file.tensor(file.root(), "t").contiguous();
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

void refused(const std::string& part, const std::string& pickle, const std::vector<ByteVector>& storages = {kStorage}) {
  expect_error(part, [&] {
    const TorchFile file(torch_zip(pickle, storages), "x.pt");
    file.tensor(file.root(), "t");
  });
}

TEST(TorchFile, ViewsOfAStorage) {
  EXPECT_EQ(values_of(view({2, 3}, {3, 1})), (std::vector<float>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(values_of(view({2, 3}, {3, 1}, 6)), (std::vector<float>{6, 7, 8, 9, 10, 11}));
  EXPECT_EQ(values_of(view({3, 2}, {1, 3})), (std::vector<float>{0, 3, 1, 4, 2, 5}));  // transposed
  EXPECT_EQ(values_of(view({2, 1, 2}, {6, int64_t{1} << 62, 2}, 1)), (std::vector<float>{1, 3, 7, 9}));
  EXPECT_EQ(values_of(view({}, {}, 11)), (std::vector<float>{11}));
  EXPECT_EQ(values_of(view({3}, {0}, 4)), (std::vector<float>{4, 4, 4}));  // expanded, and no larger than its storage
}

TEST(TorchFile, ParametersAndOtherTypes) {
  PickleWriter pickle;
  pickle.global("torch._utils", "_rebuild_parameter").raw("(");
  pickle.tensor("BFloat16Storage", "0", 24, {2}, {1}, 3).raw("\x88").global("collections", "OrderedDict").raw(")RtR");
  const TorchFile file(torch_zip(pickle.finish(), {kStorage}), "x.pt");
  EXPECT_TRUE(TorchFile::is_tensor(file.root()));
  const TorchTensor tensor = file.tensor(file.root(), "t");
  EXPECT_EQ(tensor.dtype, DType::kBF16);
  EXPECT_EQ(tensor.numel(), 2);
  EXPECT_EQ(tensor.contiguous(), testing::from_hex("803f 0000"));
}

TEST(TorchFile, ViewsStayInTheirStorage) {
  for (const auto& [shape, strides, offset] : std::vector<std::tuple<std::vector<int64_t>, std::vector<int64_t>, int64_t>>{
           {{13}, {1}, 0}, {{12}, {1}, 1}, {{2}, {12}, 0}, {{}, {}, 12}, {{13}, {0}, 0}, {{int64_t{1} << 40}, {0}, 0},
           {{int64_t{1} << 32, int64_t{1} << 32}, {0, 0}, 0}, {{3}, {int64_t{1} << 62}, 0}, {{2}, {1}, -1},
           {{1}, {1}, int64_t{1} << 62}}) {
    refused("x.pt: tensor t: its shape, strides and offset leave its storage of 12 elements", view(shape, strides, offset).finish());
  }
  refused("strides: expected integers from 0, found the int -1", view({2}, {-1}, 3).finish());
  refused("shape: expected integers from 0, found the int -2", view({-2}, {1}).finish());
  refused("has no elements", view({2, 0}, {1, 1}).finish());
  refused("2 dimensions, but 1 strides", view({2, 2}, {1}).finish());
  refused("expected up to 8 integers", view({1, 1, 1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1, 1, 1}).finish());
}

TEST(TorchFile, StoragesAreWhatTheyClaim) {
  const std::string good = view({12}, {1}).finish();
  refused("storage archive/data/0 is missing", good, {});
  refused("expected 12 elements of 4 bytes, found 47 bytes", good, {ByteVector(47)});
  refused("expected 12 elements of 4 bytes, found 52 bytes", good, {ByteVector(52)});
  for (const int64_t elements : {int64_t{-1}, int64_t{1} << 62, int64_t{3}}) {
    refused("expected " + std::to_string(elements) + " elements", PickleWriter().tensor("FloatStorage", "0", elements, {1}, {1}).finish());
  }
  refused("storage archive/data/../data.pkl is missing", PickleWriter().tensor("FloatStorage", "../data.pkl", 12, {1}, {1}).finish());
  refused("wants the global torch.ComplexFloatStorage,", PickleWriter().tensor("ComplexFloatStorage", "0", 6, {1}, {1}).finish());
  refused("torch.float32 is no storage type", PickleWriter().tensor("float32", "0", 12, {1}, {1}).finish());
  refused("expected a tensor, found the int 3", PickleWriter().integer(3).finish());
  refused("expected a tensor, found a list", "\x80\x02]."s);
  refused("_rebuild_tensor_v2 with 0 arguments", PickleWriter().global("torch._utils", "_rebuild_tensor_v2").raw(")R").finish());
  refused("expected a storage, found the int 1",
          PickleWriter().global("torch._utils", "_rebuild_tensor_v2").tuple({1, 0, 1, 1, 0, 0}).raw("R").finish());
  refused("expected a storage, found a storage",
          PickleWriter().global("torch._utils", "_rebuild_tensor_v2").raw("(").text("x").raw("QNNNNNtR").finish());
}

// The classic: a file that would run a command when PyTorch's own loader opened it.
TEST(TorchFile, AttackIsRefusedByName) {
  PickleWriter pickle;
  pickle.begin_dict().text("w").global("os", "system").raw("(").text("touch /tmp/owned").raw("tR").end_dict();
  refused("x.pt: pickle: offset 10: wants the global os.system, which model files do not need", pickle.finish());
}

TEST(TorchFile, ArchivesOfOtherKinds) {
  const std::string good = view({12}, {1}).finish();
  expect_error("written on a big-endian machine", [&] { TorchFile(torch_zip(good, {kStorage}, "big"), "x.pt"); });
  expect_error("without data.pkl", [&] { TorchFile(testing::zip_of({{.name = "a/x", .bytes = from_text("x")}}), "x.pt"); });
  expect_error("expected one pickle", [&] {
    TorchFile(testing::zip_of({{.name = "a/data.pkl", .bytes = from_text(good)}, {.name = "b/data.pkl", .bytes = from_text(good)}}), "x.pt");
  });
}

TEST(TorchContainer, ToldApartByContent) {
  const ByteVector zip = torch_zip(view({12}, {1}).finish(), {kStorage});
  EXPECT_EQ(open_torch_container(zip, "x"), zip);
  EXPECT_EQ(open_torch_container(encode(Codec::kXz, 6, zip), "x"), zip);
  EXPECT_EQ(open_torch_container(encode(Codec::kZstd, 22, zip), "x"), zip);
  EXPECT_EQ(open_torch_container(encode(Codec::kBrotli, 11, zip), "x"), zip);
  EXPECT_EQ(open_torch_container(encode(Codec::kBrotli, 11, shuffle_with_header(zip, 2)), "x"), zip);
  EXPECT_EQ(open_torch_container(shuffle_with_header(zip, 7), "x"), zip);
}

TEST(TorchContainer, EverythingElseIsRefused) {
  const auto opened = [](const ByteVector& file) { return [file] { open_torch_container(file, "x"); }; };
  expect_error("x: a PyTorch file of the old format", opened(testing::from_hex("80028a0a6cfc9c46f9206aa85019 2e")));
  expect_error("x: compressed with zlib", opened(testing::from_hex("78da 0300 00000001")));
  expect_error("taken for Brotli", opened(from_text("just some text, not a model")));
  expect_error("x: no PyTorch file: it is empty", opened({}));
  expect_error("expected a zip archive inside", opened(encode(Codec::kXz, 6, from_text("no zip"))));
  expect_error("expected a stride of 1 to 255", opened(testing::joined(from_text("BSHF"), ByteVector(9))));
}

TEST(TorchContainer, BombsStopAtTheLimit) {
  const ByteVector zeros(3 << 20);
  for (const Codec codec : {Codec::kBrotli, Codec::kZstd, Codec::kXz}) {
    const Bytes coded = encode(codec, 1, zeros);
    EXPECT_EQ(decode_up_to(codec, coded, zeros.size(), "x"), zeros);
    EXPECT_EQ(decode_up_to(codec, coded, kMaxTorchFileBytes, "x"), zeros);
    expect_error("stream x: expected at most 3145727 decoded bytes, found more",
                 [&] { decode_up_to(codec, coded, zeros.size() - 1, "x"); });
  }
  expect_error("expected at most 3145727 stored bytes", [&] { decode_up_to(Codec::kStored, zeros, zeros.size() - 1, "x"); });
}

TEST(TorchFile, DamageIsRefused) {
  const ByteVector file = torch_zip(view({12}, {1}).finish(), {kStorage});
  const auto read = [](const ByteVector& bytes) {
    const TorchFile torch(open_torch_container(bytes, "x"), "x");
    torch.tensor(torch.root(), "t").contiguous();
  };
  testing::expect_length_checked(file, read);
  const ByteVector packed = encode(Codec::kBrotli, 5, shuffle_with_header(file, 2));
  testing::expect_length_checked(packed, read);
  testing::count_accepted_flips(packed, read);  // must not crash; CRCs refuse nearly all
}

}  // namespace
}  // namespace sixteen
