// See pack_config.h.
#include "packer/pack_config.h"

#include <algorithm>

#include "formats/error.h"

namespace sixteen {
namespace {

// codec, level, shuffle_stride; a codec without a level gets its strongest. `key` names the section in errors.
void read_stream(Section* section, const std::string& where, const std::string& key, StreamOptions* stream) {
  std::string codec(codec_name(stream->codec));
  section->read("codec", &codec);
  try {
    stream->codec = parse_codec(codec);
    if (section->has("codec")) stream->level = default_level(stream->codec);
    section->read("level", &stream->level);
    section->read("shuffle_stride", &stream->shuffle_stride);
    check_level(stream->codec, stream->level);
  } catch (const Error& error) {
    const std::string message = error.what();
    if (message.starts_with(where)) throw;
    fail(where, ": [", key, "] ", message);
  }
}

void validate_stream(const StreamOptions& stream, const std::string& where, const std::string& key) {
  if (stream.shuffle_stride < 1 || stream.shuffle_stride > 255) {
    fail(where, ": [", key, "] shuffle_stride: expected 1 (none) to 255, found ", stream.shuffle_stride);
  }
  check_level(stream.codec, stream.level);
}

}  // namespace

PackConfig read_pack_config(Section section, int64_t train_len, const std::string& where) {
  PackConfig c;
  section.read("damping", &c.damping);
  section.read("block", &c.block);
  c.rules = read_pack_rules(&section, {.damping = c.damping, .block = c.block}, where);
  for (const char* key :
       {"matrix_bits", "matrix_clip_sigmas", "embedding_bits", "embedding_clip_sigmas", "max_plain_numel"}) {
    if (!c.rules.empty() && section.has(key)) {
      fail(where, ": [pack] ", key, ": means nothing beside [[pack.rules]], which say it themselves; leave it out");
    }
  }
  section.read("matrix_bits", &c.matrix.bits);
  section.read("matrix_clip_sigmas", &c.matrix.clip_sigmas);
  section.read("embedding_bits", &c.embedding.bits);
  section.read("embedding_clip_sigmas", &c.embedding.clip_sigmas);
  section.read("max_plain_numel", &c.max_plain_numel);
  c.calibration = read_calibration(&section, train_len, where);
  section.read("check_windows", &c.check_windows);
  read_stream(&section, where, "pack", &c.stream);
  Section codecs = section.table("codecs");
  for (const char* name : kStreamNames) {
    if (!codecs.has(name)) continue;
    Section stream = codecs.table(name);
    read_stream(&stream, where, std::string("pack.codecs.") + name,
                &c.codecs.try_emplace(name, c.stream).first->second);
    stream.finish();
  }
  codecs.finish();
  Section awq = section.table("awq"), lqer = section.table("lqer");
  awq.read("groups", &c.awq.groups);
  awq.read("width", &c.awq.width);
  awq.finish();
  lqer.read("top", &c.low_rank.top);
  lqer.read("rank", &c.low_rank.rank);
  lqer.read("bits", &c.low_rank.bits);
  lqer.finish();
  section.read("target_bytes", &c.target_bytes);
  section.finish();
  validate(c, where);
  return c;
}

void validate(const PackConfig& c, const std::string& where) {
  for (const QuantOptions* q : {&c.matrix, &c.embedding}) {
    if (q->bits < 2 || q->bits > 8) fail(where, ": [pack] bits: expected 2 to 8, found ", q->bits);
    if (!(q->clip_sigmas > 0)) fail(where, ": [pack] clip_sigmas: expected more than 0, found ", q->clip_sigmas);
  }
  if (!(c.damping > 0)) fail(where, ": [pack] damping: expected more than 0, found ", c.damping);
  if (c.block < 1 || c.block > kLargestBlock) {
    fail(where, ": [pack] block: expected 1 to ", kLargestBlock, ", found ", c.block);
  }
  if (c.awq.groups < 0 || c.awq.width < 1) {
    fail(where, ": [pack.awq]: expected 0 groups or more of 1 column or more, found ", c.awq.groups, " of ", c.awq.width);
  }
  if (c.low_rank.top < 0 || c.low_rank.rank < 1 || c.low_rank.rank > kMostRank || c.low_rank.bits < 2 || c.low_rank.bits > 8) {
    fail(where, ": [pack.lqer]: expected top 0 or more, rank 1 to ", kMostRank, " and bits 2 to 8, found ", c.low_rank.top, ", ", c.low_rank.rank, " and ",
         c.low_rank.bits);
  }
  if (c.check_windows < 1) fail(where, ": [pack] check_windows: expected 1 or more, found ", c.check_windows);
  if (c.target_bytes < 1) fail(where, ": [pack] target_bytes: expected 1 or more");
  validate_stream(c.stream, where, "pack");
  for (const auto& [name, stream] : c.codecs) validate_stream(stream, where, "pack.codecs." + name);
}

std::vector<PackRule> rules_of(const PackConfig& c) {
  if (!c.rules.empty()) return c.rules;
  const PackRule base{.damping = c.damping, .block = c.block};
  PackRule small = base, few = base, embedding = base, matrix = base;
  small.tensor_class = "small";
  few.max_numel = c.max_plain_numel;
  embedding.tensor_class = "embedding";
  embedding.bits = c.embedding.bits;
  embedding.clip_sigmas = c.embedding.clip_sigmas;
  matrix.bits = c.matrix.bits;
  matrix.clip_sigmas = c.matrix.clip_sigmas;
  return {small, few, embedding, matrix};
}

bool needs_hessians(const PackConfig& config, const ModelConfig& model, const ParamTable& table,
                    const std::string& where) {
  const std::vector<PackRule> rules = rules_of(config);
  const std::vector<size_t> assigned = assign_rules(rules, model, table, where);
  return std::any_of(assigned.begin(), assigned.end(),
                     [&](size_t rule) { return rules[rule].bits > 0 && takes_hessian(rules[rule].quantiser); });
}

}  // namespace sixteen
