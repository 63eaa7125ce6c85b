// See pack_config.h.
#include "packer/pack_config.h"

#include "formats/error.h"

namespace sixteen {

PackConfig read_pack_config(Section section, const std::string& where) {
  PackConfig c;
  std::string codec(codec_name(c.stream.codec));
  section.read("matrix_bits", &c.matrix.bits);
  section.read("matrix_clip_sigmas", &c.matrix.clip_sigmas);
  section.read("embedding_bits", &c.embedding.bits);
  section.read("embedding_clip_sigmas", &c.embedding.clip_sigmas);
  section.read("damping", &c.damping);
  section.read("max_plain_numel", &c.max_plain_numel);
  section.read("calib_windows", &c.calib_windows);
  section.read("calib_batch", &c.calib_batch);
  section.read("calib_seq_len", &c.calib_seq_len);
  section.read("codec", &codec);
  c.stream.codec = parse_codec(codec);
  c.stream.level = default_level(c.stream.codec);
  section.read("level", &c.stream.level);
  section.read("shuffle_stride", &c.stream.shuffle_stride);
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
  if (c.calib_windows < 1 || c.calib_batch < 1 || c.calib_seq_len < 1) {
    fail(where, ": [pack] calib_windows, calib_batch, calib_seq_len: expected 1 or more");
  }
  if (c.stream.shuffle_stride < 1 || c.stream.shuffle_stride > 255) {
    fail(where, ": [pack] shuffle_stride: expected 1 (none) to 255, found ", c.stream.shuffle_stride);
  }
  if (c.target_bytes < 1) fail(where, ": [pack] target_bytes: expected 1 or more");
  check_level(c.stream.codec, c.stream.level);
}

}  // namespace sixteen
