// SentencePiece models through libsentencepiece.
//
// Bites: the file is a bare protobuf without a check of its own, so a damaged piece can pass for another piece; what is
// caught is a file that does not parse or lacks what SentencePiece needs. Its status text names its own sources: not shown.
#include "formats/tokenizer.h"

#include <sentencepiece_processor.h>

#include <exception>

#include "formats/error.h"
#include "formats/file.h"

namespace sixteen {
namespace {

constexpr std::string_view kBlank = "\xe2\x96\x81";  // U+2581, which SentencePiece writes for a blank

}  // namespace

struct Tokenizer::Impl {
  sentencepiece::SentencePieceProcessor processor;
};

Tokenizer::Tokenizer(const std::string& path) : Tokenizer(read_text_file(path), path) {}

Tokenizer::Tokenizer(std::string_view model, const std::string& where) : path_(where), impl_(std::make_unique<Impl>()) {
  bool loaded = false;
  try {
    loaded = impl_->processor.LoadFromSerializedProto(model).ok();
  } catch (const std::exception&) {  // from its trie builder, on pieces that hold a NUL
  }
  if (!loaded) fail(where, ": no SentencePiece model, or a damaged one (", model.size(), " bytes)");
}

Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;

int64_t Tokenizer::vocab() const { return impl_->processor.GetPieceSize(); }

int32_t Tokenizer::bos_id() const {
  const int id = impl_->processor.bos_id();
  return id < 0 ? 1 : id;
}

ByteTables Tokenizer::byte_tables(int64_t entries) const {
  const sentencepiece::SentencePieceProcessor& model = impl_->processor;
  if (entries == 0) entries = vocab();
  if (entries < vocab()) {
    fail(path_, ": the tokenizer has ", vocab(), " pieces, expected at most the model's vocabulary of ", entries);
  }
  const size_t size = static_cast<size_t>(entries);
  ByteTables tables{std::vector<int16_t>(size, 0), std::vector<uint8_t>(size, 0), std::vector<uint8_t>(size, 1)};
  for (int id = 0; id < model.GetPieceSize(); ++id) {
    if (model.IsControl(id) || model.IsUnknown(id) || model.IsUnused(id)) continue;
    tables.boundary[id] = 0;
    if (model.IsByte(id)) {
      tables.base_bytes[id] = 1;
      continue;
    }
    std::string_view piece = model.IdToPiece(id);
    if (piece.starts_with(kBlank)) {
      tables.leading_space[id] = 1;
      piece.remove_prefix(kBlank.size());
    }
    if (piece.size() > INT16_MAX) fail(path_, ": piece ", id, " has ", piece.size(), " bytes, expected at most 32767");
    tables.base_bytes[id] = static_cast<int16_t>(piece.size());
  }
  return tables;
}

std::vector<int32_t> Tokenizer::encode(std::string_view text) const {
  std::vector<int> ids;
  const auto status = impl_->processor.Encode(text, &ids);
  if (!status.ok()) fail(path_, ": cannot encode a text of ", text.size(), " bytes: ", status.error_message());
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids) const {
  for (const int32_t id : ids) {
    if (id < 0 || id >= vocab()) fail(path_, ": cannot decode id ", id, ": expected 0 to ", vocab() - 1);
  }
  std::string text;
  const auto status = impl_->processor.Decode(std::vector<int>(ids.begin(), ids.end()), &text);
  if (!status.ok()) fail(path_, ": cannot decode ", ids.size(), " ids: ", status.error_message());
  return text;
}

}  // namespace sixteen
