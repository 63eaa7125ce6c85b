// SentencePiece models: the three byte tables that turn tokens into bytes, encoding and decoding, training.
//
// The tables are the challenge's (spec_1584_1555 2.4): control, unknown and unused ids count 0 bytes and are boundaries; a
// byte piece counts 1; any other piece counts its UTF-8 length without one leading U+2581, whose blank counts 1 unless the
// token before is a boundary.
// Bites: BOS as a target costs bits but counts no bytes. Ids past the model's pieces count 0 and are boundaries.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sixteen {

struct ByteTables {
  std::vector<int16_t> base_bytes;       // [vocab]
  std::vector<uint8_t> leading_space;    // [vocab] 0 or 1
  std::vector<uint8_t> boundary;         // [vocab] 0 or 1

  int64_t vocab() const { return static_cast<int64_t>(base_bytes.size()); }
  // Bytes that `target` stands for when it follows `previous`.
  int bytes(int32_t target, int32_t previous) const {
    return base_bytes[target] + ((leading_space[target] != 0 && boundary[previous] == 0) ? 1 : 0);
  }
};

class Tokenizer {
 public:
  // Throws Error when the file is no SentencePiece model.
  explicit Tokenizer(const std::string& path);
  // A model in memory; `where` names it in errors.
  Tokenizer(std::string_view model, const std::string& where);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;

  const std::string& path() const { return path_; }
  int64_t vocab() const;
  int32_t bos_id() const;  // 1 when the model has none
  // Tables of `vocab` entries (0: the model's own size). Throws Error when vocab is smaller than the model's.
  ByteTables byte_tables(int64_t vocab = 0) const;
  // Thread-safe. No BOS is added.
  std::vector<int32_t> encode(std::string_view text) const;
  std::string decode(std::span<const int32_t> ids) const;

 private:
  struct Impl;
  std::string path_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sixteen
