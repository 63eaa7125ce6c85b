// The card's SHA-256 as the host compiles it, and the CPU device's leaves, against OpenSSL's.
#include "graph/cuda/sha256_leaf.h"

#include <gtest/gtest.h>

#include <cstring>

#include "formats/sha256.h"
#include "graph/executor.h"

namespace sixteen {
namespace {

std::vector<uint32_t> some_words(size_t count) {
  std::vector<uint32_t> words(count);
  for (size_t i = 0; i < count; ++i) words[i] = static_cast<uint32_t>(i * 2654435761u + 12345);
  return words;
}

TEST(Sha256Leaf, EqualsOpenSslAtEveryLengthOfTwoBlocksAndAtALeaf) {
  const std::vector<uint32_t> words = some_words(kLeafBytes / 4);
  std::vector<size_t> lengths = {kLeafBytes - 1, kLeafBytes};
  for (size_t length = 0; length <= 130; ++length) lengths.push_back(length);
  for (const size_t length : lengths) {
    cuda::Sha256Words found = cuda::sha256_leaf(cuda::kSha256Rounds, words.data(), length);
    for (uint32_t& word : found.h) word = cuda::swap_bytes(word);
    const Sha256 expected = sha256(std::as_bytes(std::span(words)).first(length));
    EXPECT_EQ(std::memcmp(found.h, expected.data(), expected.size()), 0) << length;
  }
}

TEST(DeviceLeaves, AreThoseOfTheMemoryForAnyThreads) {
  const std::vector<uint32_t> words = some_words(5 * kLeafBytes / 8);  // two leaves and a half
  for (const int threads : {1, 3}) {
    const auto device = make_device("cpu", threads);
    const Buffer buffer = device->allocate(words.size() * 4);
    device->upload(buffer.data(), words.data(), words.size() * 4);
    const std::vector<Sha256> leaves = device->leaf_digests(buffer.data(), buffer.bytes());
    ASSERT_EQ(leaves.size(), 3u);
    const auto bytes = std::as_bytes(std::span(words));
    EXPECT_EQ(leaves[0], sha256(bytes.first(kLeafBytes)));
    EXPECT_EQ(leaves[2], sha256(bytes.subspan(2 * kLeafBytes)));
    EXPECT_NE(tree_root(buffer.bytes(), leaves), tree_root(buffer.bytes() + 1, leaves));
  }
}

}  // namespace
}  // namespace sixteen
