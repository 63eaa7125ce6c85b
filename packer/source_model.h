// Predicts source text bit by bit: the model behind the coded archive of counted sources, shipped with it as text.
//
// Contexts of the last bytes, of words and of open brackets each find a counter (a probability, its updates, its last bits) and
// the byte that followed last time; a match finder says what followed the longest repetition. Logistic mixing (as in PAQ and lpaq,
// M. Mahoney) with six sets of weights, then two adaptive corrections. All integers: the same on every machine. Takes 0.3 GB.
// Bites: includes the standard library only and must stay self-contained: packer/source_archive.cpp ships it as text, without comments. A change
// here is one of the format, which nothing but the archive's own copy ever reads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace sixteen {

class SourceModel {
 public:
  SourceModel()
      : counters_(size_t{1} << kCounterBits),
        last_(size_t{kContexts} << 16),
        matches_(1 << 20),
        followers_(1 << 16),
        by_history_(kContexts * 256, 1u << 31),
        weights_(kSets * kSetSize * kInputs, 7000),
        blend_(512 * kSets, 65536 / kSets),
        by_byte_(65536 * 33),
        by_three_(by_byte_.size()) {
    std::fill_n(stretch_, 4096, 2047);
    for (int x = -2047, from = 0; x < 2048; ++x) {
      for (; from <= squash(x); ++from) stretch_[from] = x;
    }
    for (size_t i = 0; i < by_byte_.size(); ++i)
      by_byte_[i] = by_three_[i] = squash((static_cast<int>(i % 33) - 16) * 128) * 16;
    next_byte();
    next_nibble();
    predict();
  }

  int probability() const { return probability_; }  // that the next bit is 1, of 65536; 16 to 65520

  void update(int bit) {
    const int truth = bit << 12, rate = text_.size() < 40000 ? 4 : text_.size() < 160000 ? 3 : 2;
    for (int s = 0; s < kSets; ++s) {
      const int error = (truth - opinions_[s]) * rate;
      for (int i = 0; i < kInputs; ++i) set_[s][i] += (inputs_[i] * error + 0x2000) >> 14;
      blends_[s] += (dots_[s] * (truth - blended_) * 2 + 0x2000) >> 14;
    }
    for (int32_t* cell : corrected_) *cell += ((bit << 16) - *cell) >> 5;
    for (int i = 0; i < kContexts; ++i) {
      Counter& counter = buckets_[i][node_];
      uint32_t& past = by_history_[i * 256 + counter.history];
      const int seen = past & 1023, p = past >> 10;
      past = static_cast<uint32_t>(p + ((bit << 22) - bit - p) * 2 / (2 * seen + 3)) << 10 |
             static_cast<uint32_t>(std::min(seen + 1, 1000));
      counter.p += ((bit << 16) - bit - counter.p) * 5 / (5 * counter.seen + 7);
      counter.seen += counter.seen < 250;
      counter.history = (counter.history * 2 + bit) % 128 + (counter.history < 64 ? 0 : 128);
    }
    partial_ = partial_ * 2 + bit;
    node_ = node_ * 2 + bit;
    if (partial_ >= 256) end_byte(partial_ & 255);
    if (node_ >= 16) next_nibble();
    predict();
  }

 private:
  static constexpr int kContexts = 22, kCounterBits = 26, kSets = 6, kSetSize = 256, kInputs = 4 * kContexts + 3;

  struct Counter {
    uint16_t p = 32768;  // of 65536; a check in the first of a bucket
    uint8_t seen = 0, history = 1;
  };

  static int squash(int x) {  // 4096 / (1 + e^(-x / 256))
    static const int table[33] = {1,    2,    3,    6,    10,   16,   27,   45,   73,   120,  194,
                                  310,  488,  747,  1101, 1546, 2047, 2549, 2994, 3348, 3607, 3785,
                                  3901, 3975, 4022, 4050, 4068, 4079, 4085, 4089, 4092, 4093, 4094};
    x = std::clamp(x, -2047, 2047) + 2048;
    return (table[x / 128] * (128 - x % 128) + table[x / 128 + 1] * (x % 128) + 64) / 128;
  }
  static uint32_t mix(uint32_t a, uint32_t b) {
    uint32_t x = a * 0x9e3779b1u ^ (b + 0x7f4a7c15u) * 0x85ebca6bu;
    x = (x ^ x >> 15) * 0xc2b2ae35u;
    return x ^ x >> 13;
  }

  void next_byte() {
    const uint32_t c = recent_, one = c & 255, followers = followers_[c & 0xffff] & 0xffff, call = calls_[depth_],
                   callee = call & ~255u;
    const uint32_t contexts[kContexts] = {0,
                                          one,
                                          c & 0xffff,
                                          c & 0xffffff,
                                          c,
                                          mix(c, before_ & 255),
                                          mix(c, before_ & 0xffff),
                                          mix(c, before_),
                                          mix(word_, words_[0]),
                                          mix(word_, one | 256),
                                          mix(mix(word_, words_[0]), words_[1]),
                                          mix(word_, (line_ & 255) | above_ << 8 | 1 << 20),
                                          mix(one, followers),
                                          mix(c & 0xf0f0f0f0, marks_),
                                          mix(mix(word_, one), callee),
                                          mix(mix(word_, marks_ & 0xffff), callee),
                                          mix(marks_ & 0xffffff, one | 512),
                                          mix(mix(word_, words_[1]), 11),
                                          mix(mix(word_, one), calls_[depth_ - 1] & ~255u),
                                          mix(word_, followers),
                                          mix(mix(word_, call), one),
                                          mix(mix(word_, call), mix(calls_[depth_ - 1], one))};
    for (int i = 0; i < kContexts; ++i) hashes_[i] = mix(contexts[i], i * 0x1234567u + 1);
  }

  // In each context a bucket of 16 counters for the next four bits.
  void next_nibble() {
    node_ = 1;
    for (int i = 0; i < kContexts; ++i) {
      const uint32_t hash = mix(hashes_[i], partial_), check = hash & 0xffff;
      Counter* least = nullptr;
      for (uint32_t probe = 0; probe < 5; ++probe) {
        Counter* bucket = &counters_[size_t{hash >> (36 - kCounterBits) ^ probe} << 4];
        if (bucket->p == check || least == nullptr || bucket[1].seen < least[1].seen) least = bucket;
        if (bucket->p == check) break;
      }
      if (least->p != check) {
        std::fill_n(least, 16, Counter());
        least->p = check;
      }
      buckets_[i] = least;
    }
  }

  void end_byte(int byte) {
    const uint32_t b = static_cast<uint32_t>(byte);
    for (int i = 0; i < kContexts; ++i) {
      uint32_t& last = last_[static_cast<size_t>(i) << 16 | hashes_[i] >> 16];
      const uint32_t check = hashes_[i] & 0xffff,
                     times = last >> 16 == check && (last & 255) == b ? std::min(255u, (last >> 8 & 255) + 1) : 1;
      last = check << 16 | times << 8 | b;
    }
    uint32_t& follower = followers_[recent_ & 0xffff];
    follower = follower << 8 | b;
    text_.push_back(static_cast<uint8_t>(byte));
    before_ = before_ << 8 | recent_ >> 24;
    recent_ = recent_ << 8 | b;
    partial_ = 1;
    const bool letter = (b | 32) - 'a' < 26 || b - '0' < 10 || b == '_';
    if (letter)
      word_ = mix(word_, b);
    else
      end_word(b);
    if (b == '\n')
      above_ = line_, line_ = 0;
    else if (line_ >> 24 == 0)
      line_ = line_ << 8 | b;
    find_match();
    next_byte();
  }

  void end_word(uint32_t b) {
    if (word_ != 0) words_[1] = words_[0], words_[0] = word_;
    word_ = 0;
    if (b != ' ') marks_ = marks_ << 8 | b;
    if ((b == '(' || b == '{') && depth_ < 63) calls_[++depth_] = mix(words_[0], b) << 8;
    if ((b == ')' || b == '}') && depth_ > 1) --depth_;
    if (b == ',' || b == ';') ++calls_[depth_];
  }

  void find_match() {
    if (length_ > 0) ++match_, ++length_;
    const size_t size = text_.size();
    if (size < 12) return;
    uint32_t hash = 0;
    for (size_t i = 1; i <= 12; ++i) hash = mix(hash, text_[size - i]);
    uint32_t& place = matches_[hash >> 12];
    if (length_ == 0 && place > 0) {
      match_ = place;
      while (length_ < 400 && match_ > length_ && text_[match_ - 1 - length_] == text_[size - 1 - length_]) ++length_;
    }
    place = static_cast<uint32_t>(size);
  }

  void predict() {
    int bits = 0;
    while (partial_ >> (bits + 1) != 0) ++bits;
    const auto says = [&](uint32_t byte) {
      return (byte | 256) >> (8 - bits) != static_cast<uint32_t>(partial_) ? 0 : (byte >> (7 - bits) & 1) != 0 ? 1 : -1;
    };
    int* in = inputs_;
    int order = 0;
    for (int i = 0; i < kContexts; ++i) {
      const Counter& counter = buckets_[i][node_];
      const int p = counter.p >> 4, seen = counter.seen;
      *in++ = seen == 0 ? 0 : stretch_[p];
      *in++ = (p - 2048) * std::min(seen, 16) / 16;
      *in++ = seen == 0 ? 0 : stretch_[by_history_[i * 256 + counter.history] >> 20];
      if (seen > 0 && i < 8) order = i;
      const uint32_t last = last_[static_cast<size_t>(i) << 16 | hashes_[i] >> 16];
      const int times = last >> 8 & 255, force = i < 3 ? 32 + times * 20 : 128 + times * 90;
      *in++ = times > 0 && last >> 16 == (hashes_[i] & 0xffff) ? says(last & 255) * std::min(2047, force) : 0;
    }
    const int match = length_ > 0 ? says(text_[match_]) : 0;
    if (match == 0) length_ = 0;
    const int length = static_cast<int>(std::min<size_t>(length_, 400));
    *in++ = match * std::min(2047, length * 32);
    *in++ = match * std::min(2047, 256 + length * 4);
    *in = 256;
    mix_sets(std::min(length / 4, 15) + 16 * order);
  }

  void mix_sets(int state) {
    const size_t rows[kSets] = {static_cast<size_t>(partial_), recent_ & 255, static_cast<size_t>(state), recent_ >> 8 & 255,
                                marks_ & 255, length_ > 0 ? text_[match_] : 0u};
    int64_t sum = 0;
    blends_ = &blend_[(partial_ * 2 + (length_ > 0)) * kSets];
    for (int s = 0; s < kSets; ++s) {
      set_[s] = &weights_[(s * kSetSize + rows[s]) * kInputs];
      int64_t dot = 0;
      for (int i = 0; i < kInputs; ++i) dot += static_cast<int64_t>(inputs_[i]) * set_[s][i];
      dots_[s] = static_cast<int>(std::clamp<int64_t>(dot >> 16, -2047, 2047));
      opinions_[s] = squash(dots_[s]);
      sum += static_cast<int64_t>(dots_[s]) * blends_[s];
    }
    const int stretched = static_cast<int>(std::clamp<int64_t>(sum >> 16, -2047, 2047)),
              place = (stretched + 2048) * 32, cell = place >> 12, part = place & 4095;
    blended_ = squash(stretched);
    const uint32_t keys[2] = {static_cast<uint32_t>(partial_) | (recent_ & 255) << 8,
                              mix(recent_ & 0xffffff, partial_) >> 16};
    int total = 0;
    for (int k = 0; k < 2; ++k) {
      int32_t* cells = &(k == 0 ? by_byte_ : by_three_)[keys[k] * 33 + cell];
      total += (cells[0] * (4096 - part) + cells[1] * part) >> 12;
      corrected_[k] = cells + (part >> 11);
    }
    probability_ = std::clamp(total / 2, 16, 65520);
  }

  std::vector<Counter> counters_;
  std::vector<uint32_t> last_, matches_, followers_;  // check << 16 | times << 8 | byte; place; bytes
  std::vector<uint32_t> by_history_;                  // probability of 1 << 10 | updates
  std::vector<int32_t> weights_, blend_, by_byte_, by_three_;
  std::vector<uint8_t> text_;
  int stretch_[4096], inputs_[kInputs] = {}, opinions_[kSets] = {}, dots_[kSets] = {}, partial_ = 1, node_ = 1,
                      blended_ = 0, probability_ = 0, depth_ = 1;
  uint32_t hashes_[kContexts] = {}, recent_ = 0, before_ = 0, word_ = 0, words_[2] = {}, line_ = 0, above_ = 0,
           marks_ = 0, calls_[64] = {};  // of open brackets: the word before, then the number of the argument in the low byte
  Counter* buckets_[kContexts];
  int32_t *set_[kSets], *corrected_[2], *blends_;
  size_t match_ = 0, length_ = 0;
};

}  // namespace sixteen
