// See proof_file.h.
#include "formats/proof_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string_view>

#include "formats/check.h"
#include "formats/error.h"

namespace sixteen {
namespace {

constexpr std::string_view kMagic = "S16Z";
constexpr uint8_t kVersion = 1;
constexpr size_t kCheckOffset = 5, kCheckBytes = 4, kBodyOffset = 9;
constexpr uint8_t kReal = 0x80;  // bit of a tag: a real number follows
constexpr uint8_t kWhole = 255;  // instead of a number of decimals: eight bytes of fp64 follow
constexpr int kMostDecimals = 15;

template <class Short>
Short first_bytes(const Sha256& digest) {
  Short bytes;
  std::copy_n(digest.begin(), bytes.size(), bytes.begin());
  return bytes;
}

// The check covers all but itself.
std::array<uint8_t, kCheckBytes> check_of(std::span<const std::byte> file) {
  Sha256Stream hash;
  hash.update(file.first(kCheckOffset));
  hash.update(file.subspan(kBodyOffset));
  return first_bytes<std::array<uint8_t, kCheckBytes>>(hash.finish());
}

uint64_t fold(int64_t value) { return static_cast<uint64_t>(value) << 1 ^ static_cast<uint64_t>(value >> 63); }
int64_t unfold(uint64_t value) { return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1); }

// value = digits / 10^decimals, exactly as the same decimals in a config file are read: both are at most 2^53 and the division rounds once.
double from_decimal(int64_t digits, int decimals) {
  double power = 1;
  for (int i = 0; i < decimals; ++i) power *= 10;
  return static_cast<double>(digits) / power;
}

// The shortest such spelling, if there is one; decimals then, else kWhole.
uint8_t decimals_of(double value, int64_t* digits) {
  for (int decimals = 0; decimals <= kMostDecimals; ++decimals) {
    const double scaled = value * (1 / from_decimal(1, decimals));
    if (!(std::abs(scaled) < 1e15)) break;
    *digits = std::llround(scaled);
    const double back = from_decimal(*digits, decimals);
    if (back == value && std::signbit(back) == std::signbit(value)) return static_cast<uint8_t>(decimals);
  }
  return kWhole;
}

bool is_plain_name(std::string_view name) {
  const auto good = [](char c) { return static_cast<unsigned char>(c) > 0x20 && c != 0x7f && c != '/' && c != '\\'; };
  return !name.empty() && name.size() <= 255 && name[0] != '.' && std::all_of(name.begin(), name.end(), good);
}

class Writer {
 public:
  explicit Writer(Bytes* out) : out_(*out) {}
  void byte(uint8_t value) { out_.push_back(static_cast<std::byte>(value)); }
  void bytes(const void* data, size_t size) {
    const size_t at = out_.size();
    out_.resize(at + size);
    if (size > 0) std::memcpy(out_.data() + at, data, size);
  }
  void count(uint64_t value) {  // 7 bits a byte, low ones first
    for (; value >= 0x80; value >>= 7) byte(static_cast<uint8_t>(value | 0x80));
    byte(static_cast<uint8_t>(value));
  }

 private:
  Bytes& out_;
};

void write_real(double value, Writer* out) {
  int64_t digits = 0;
  const uint8_t decimals = decimals_of(value, &digits);
  out->byte(decimals);
  if (decimals == kWhole) out->bytes(&value, sizeof value);
  else out->count(fold(digits));
}

class Reader {
 public:
  Reader(std::span<const std::byte> file, const std::string& where) : file_(file), where_(where) {}

  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... parts) const {
    fail(where_, ": offset ", at_, ": ", parts...);
  }
  void skip(size_t size) { at_ += size; }
  size_t at() const { return at_; }
  std::span<const std::byte> bytes(size_t size, const char* what) {
    if (file_.size() - at_ < size) refuse("truncated: expected ", size, " bytes of ", what, ", found ", file_.size() - at_);
    at_ += size;
    return file_.subspan(at_ - size, size);
  }
  uint8_t byte(const char* what) { return static_cast<uint8_t>(bytes(1, what)[0]); }
  uint64_t any(const char* what) {
    const size_t start = at_;
    uint64_t value = 0;
    for (int shift = 0; shift < 63; shift += 7) {
      const uint8_t b = byte(what);
      value |= static_cast<uint64_t>(b & 0x7f) << shift;
      if (b >= 0x80) continue;
      if (b == 0 && shift > 0) break;  // a shorter spelling exists
      return value;
    }
    at_ = start;
    refuse("expected ", what, " in as few bytes as it takes");
  }
  uint64_t count(const char* what, uint64_t least, uint64_t most) {
    const size_t start = at_;
    const uint64_t value = any(what);
    if (value >= least && value <= most) return value;
    at_ = start;
    refuse("expected ", what, " of ", least, " to ", most, ", found ", value);
  }

 private:
  std::span<const std::byte> file_;
  const std::string& where_;
  size_t at_ = 0;
};

void read_shards(Reader* in, ProofFile* proof) {
  const uint64_t count = in->count("a number of shards", 1, kMaxProofShards);
  int64_t left = kMaxProofTokens;
  for (uint64_t i = 0; i < count; ++i) {
    ProofShard shard;
    shard.tokens = static_cast<int64_t>(in->count("a shard's tokens", 0, static_cast<uint64_t>(left)));
    left -= shard.tokens;
    const std::span<const std::byte> name = in->bytes(in->count("a name's length", 1, 255), "a shard's name");
    shard.name.assign(reinterpret_cast<const char*>(name.data()), name.size());
    if (!is_plain_name(shard.name)) in->refuse("before here: expected a plain file name, found \"", shard.name, "\"");
    for (const ProofShard& other : proof->shards) {
      if (other.name == shard.name) in->refuse("before here: two shards named \"", shard.name, "\"");
    }
    proof->shards.push_back(std::move(shard));
  }
  if (left == kMaxProofTokens) in->refuse("before here: expected tokens, found empty shards alone");
}

double read_real(Reader* in) {
  const uint8_t decimals = in->byte("a setting's decimals");
  double value = 0;
  int64_t digits = 0;
  if (decimals == kWhole) {
    std::memcpy(&value, in->bytes(sizeof value, "a setting").data(), sizeof value);
  } else {
    if (decimals > kMostDecimals) in->refuse("before here: expected 0 to ", kMostDecimals, " decimals, found ", int{decimals});
    value = from_decimal(unfold(in->any("a setting's digits")), decimals);
  }
  if (!std::isfinite(value)) in->refuse("before here: expected a finite number, found ", value);
  if (decimals_of(value, &digits) != decimals) in->refuse("before here: expected ", value, " in its shortest spelling");
  return value;
}

void read_settings(Reader* in, ProofFile* proof) {
  const uint64_t count = in->count("a number of settings", 0, 127);
  for (uint64_t i = 0; i < count; ++i) {
    const uint8_t tag = in->byte("a setting's tag");
    ProofSetting setting{tag & 0x7f, int64_t{0}};
    if (setting.tag == 0 || (i > 0 && setting.tag <= proof->settings.back().tag)) {
      in->refuse("before here: expected tags from 1 on, ascending, found ", setting.tag);
    }
    if ((tag & kReal) != 0) {
      setting.value = read_real(in);
    } else {
      setting.value = unfold(in->any("a setting"));
    }
    proof->settings.push_back(setting);
  }
}

void read_sampled(Reader* in, ProofFile* proof) {
  const uint64_t count = in->count("a number of sampled chunks", 0, static_cast<uint64_t>(kMaxProofTokens));
  uint64_t next = 0;
  for (uint64_t i = 0; i < count; ++i) {
    if (next >= kMaxProofTokens) in->refuse("expected no further sampled chunk after ", next - 1);
    next += in->count("a step to the next sampled chunk", 0, static_cast<uint64_t>(kMaxProofTokens) - next);
    proof->sampled.push_back(static_cast<int64_t>(next++));
  }
}

}  // namespace

ArtifactTag artifact_tag(const Sha256& digest) { return first_bytes<ArtifactTag>(digest); }

TextDigest digest_tokens(std::span<const uint16_t> tokens) { return first_bytes<TextDigest>(sha256(std::as_bytes(tokens))); }

int64_t ProofFile::tokens() const {
  int64_t sum = 0;
  for (const ProofShard& shard : shards) sum += shard.tokens;
  return sum;
}

Bytes serialise_proof(const ProofFile& proof) {
  CHECK(!proof.shards.empty() && proof.shards.size() <= kMaxProofShards && proof.tokens() <= kMaxProofTokens);
  Bytes file;
  Writer out(&file);
  out.bytes(kMagic.data(), kMagic.size());
  out.byte(kVersion);
  for (size_t i = 0; i < kCheckBytes; ++i) out.byte(0);
  out.bytes(proof.artifact.data(), proof.artifact.size());
  out.bytes(proof.text.data(), proof.text.size());
  out.count(proof.shards.size());
  for (const ProofShard& shard : proof.shards) {
    if (!is_plain_name(shard.name)) fail(shard.name, ": a shard's name must be a plain file name without blanks");
    out.count(static_cast<uint64_t>(shard.tokens));
    out.count(shard.name.size());
    out.bytes(shard.name.data(), shard.name.size());
  }
  out.count(proof.first_token);
  out.count(proof.settings.size());
  for (const ProofSetting& setting : proof.settings) {
    const double* real = std::get_if<double>(&setting.value);
    out.byte(static_cast<uint8_t>(setting.tag | (real != nullptr ? kReal : 0)));
    if (real != nullptr) write_real(*real, &out);
    else out.count(fold(std::get<int64_t>(setting.value)));
  }
  out.count(proof.sampled.size());
  int64_t next = 0;
  for (const int64_t chunk : proof.sampled) {
    CHECK(chunk >= next);
    out.count(static_cast<uint64_t>(chunk - next));
    next = chunk + 1;
  }
  out.bytes(proof.code.data(), proof.code.size());
  const auto check = check_of(file);
  std::memcpy(file.data() + kCheckOffset, check.data(), check.size());
  return file;
}

ProofFile parse_proof(std::span<const std::byte> file, const std::string& where) {
  Reader in(file, where);
  const std::span<const std::byte> magic = in.bytes(kMagic.size(), "magic");
  if (std::memcmp(magic.data(), kMagic.data(), kMagic.size()) != 0) {
    fail(where, ": offset 0: expected \"", kMagic, "\"; is this a file written by compress?");
  }
  const uint8_t version = in.byte("version");
  if (version != kVersion) fail(where, ": offset 4: expected version ", int{kVersion}, ", found ", int{version});
  const std::span<const std::byte> check = in.bytes(kCheckBytes, "check");
  if (std::memcmp(check.data(), check_of(file).data(), kCheckBytes) != 0) {
    fail(where, ": offset ", kCheckOffset, ": the check does not fit the file's ", file.size(), " bytes: it is damaged or cut");
  }
  ProofFile proof;
  std::memcpy(proof.artifact.data(), in.bytes(proof.artifact.size(), "the artifact's digest").data(), proof.artifact.size());
  std::memcpy(proof.text.data(), in.bytes(proof.text.size(), "the text's digest").data(), proof.text.size());
  read_shards(&in, &proof);
  proof.first_token = static_cast<uint16_t>(in.count("a first token", 0, 65535));
  read_settings(&in, &proof);
  read_sampled(&in, &proof);
  const std::span<const std::byte> code = file.subspan(in.at());
  proof.code.assign(code.begin(), code.end());
  return proof;
}

}  // namespace sixteen
