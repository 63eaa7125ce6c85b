// See scorer_streams.h.
#include "evaluator/scorer_streams.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "formats/check.h"

namespace sixteen {
namespace {

uint16_t draw(std::span<const uint16_t> ids, NumpyRandom* random) {
  return ids[random->integers(static_cast<uint32_t>(ids.size()))];
}

// Another id than `old`; with a single id there is none, and the caller's stream stays as it was.
uint16_t another(uint16_t old, std::span<const uint16_t> ids, NumpyRandom* random) {
  for (int attempt = 0; attempt < 100; ++attempt) {
    const uint16_t id = draw(ids, random);
    if (id != old) return id;
  }
  return old;
}

std::vector<int32_t> shuffled(int64_t count, NumpyRandom* random) {
  std::vector<int32_t> order(static_cast<size_t>(count));
  random->permutation(order);
  return order;
}

void permute_ids(std::span<uint16_t> tail, int32_t bos, NumpyRandom* random) {
  std::vector<size_t> places;
  for (size_t i = 0; i < tail.size(); ++i) {
    if (tail[i] != bos) places.push_back(i);
  }
  const Tokens old(tail.begin(), tail.end());
  const std::vector<int32_t> order = shuffled(static_cast<int64_t>(places.size()), random);
  for (size_t i = 0; i < places.size(); ++i) tail[places[i]] = old[places[static_cast<size_t>(order[i])]];
}

// BOS becomes an id and another place becomes BOS, one for one, so that the stream's length stays.
void move_bos(std::span<uint16_t> tail, std::span<const uint16_t> ids, int32_t bos, NumpyRandom* random) {
  for (uint16_t& token : tail) {
    if (token == bos) token = draw(ids, random);
  }
  const size_t documents = std::max<size_t>(1, tail.size() / 150);
  for (size_t i = 0; i < documents; ++i) tail[random->integers(static_cast<uint32_t>(tail.size()))] = static_cast<uint16_t>(bos);
}

// The rest of the cut's own document stays; the documents after it are put in another order.
void shuffle_documents(std::span<uint16_t> tail, int32_t bos, NumpyRandom* random) {
  std::vector<size_t> starts;
  for (size_t i = 0; i < tail.size(); ++i) {
    if (tail[i] == bos) starts.push_back(i);
  }
  if (starts.empty()) return;
  const Tokens old(tail.begin(), tail.end());
  size_t to = starts[0];
  starts.push_back(tail.size());
  std::vector<int32_t> order = shuffled(static_cast<int64_t>(starts.size()) - 1, random);
  if (std::is_sorted(order.begin(), order.end())) std::rotate(order.begin(), order.begin() + 1, order.end());
  for (const int32_t d : order) {
    const size_t document = static_cast<size_t>(d);
    to = static_cast<size_t>(
        std::copy(old.begin() + static_cast<int64_t>(starts[document]), old.begin() + static_cast<int64_t>(starts[document + 1]),
                  tail.begin() + static_cast<int64_t>(to)) -
        tail.begin());
  }
}

}  // namespace

const char* change_name(Change change) {
  switch (change) {
    case Change::kOneToken: return "one token flipped";
    case Change::kRandom: return "tail of random ids";
    case Change::kPermuted: return "tail permuted";
    case Change::kOtherText: return "tail of another text";
    case Change::kBosMoved: return "BOS moved";
    case Change::kShuffled: return "later documents shuffled";
    case Change::kTruncated: return "stream truncated";
  }
  CHECK(false);
}

bool keeps_lengths(Change change) { return change == Change::kOneToken || change == Change::kRandom || change == Change::kPermuted; }

Tokens change_after(std::span<const uint16_t> tokens, int64_t cut, Change change, std::span<const uint16_t> other,
                    std::span<const uint16_t> ids, int32_t bos, NumpyRandom* random) {
  Tokens changed(tokens.begin(), tokens.end());
  const std::span<uint16_t> tail = std::span(changed).subspan(static_cast<size_t>(cut) + 1);
  CHECK(!tail.empty() && !ids.empty());
  switch (change) {
    case Change::kOneToken: tail[0] = tail[0] == bos ? draw(ids, random) : another(tail[0], ids, random); break;
    case Change::kRandom:
      for (uint16_t& token : tail) {
        if (token != bos) token = draw(ids, random);
      }
      break;
    case Change::kPermuted: permute_ids(tail, bos, random); break;
    case Change::kOtherText:
      for (size_t i = 0; i < tail.size(); ++i) tail[i] = other.empty() ? draw(ids, random) : other[i % other.size()];
      break;
    case Change::kBosMoved: move_bos(tail, ids, bos, random); break;
    case Change::kShuffled: shuffle_documents(tail, bos, random); break;
    case Change::kTruncated: changed.resize(static_cast<size_t>(cut) + 1); break;
  }
  return changed;
}

std::vector<int64_t> choose_cuts(std::span<const uint16_t> tokens, int64_t count, int32_t bos, NumpyRandom* random) {
  const int64_t last = static_cast<int64_t>(tokens.size()) - 2;
  std::vector<int64_t> borders;
  for (const int64_t start : document_starts(tokens, bos)) {
    for (const int64_t near : {start - 1, start, start + 1}) borders.push_back(near);
  }
  std::set<int64_t> cuts;
  for (int64_t tries = 0; static_cast<int64_t>(cuts.size()) < count && tries < 100 * count; ++tries) {
    int64_t cut = 0;
    if (tries % 3 == 0) {
      cut = borders[random->integers(static_cast<uint32_t>(borders.size()))];
    } else if (tries % 3 == 1) {
      const int64_t step = int64_t{16} << random->integers(8);
      cut = step * (1 + random->integers(static_cast<uint32_t>(last / step + 1))) + static_cast<int64_t>(random->integers(3)) - 1;
    } else {
      cut = 1 + random->integers(static_cast<uint32_t>(last));
    }
    if (cut >= 1 && cut <= last) cuts.insert(cut);
  }
  return {cuts.begin(), cuts.end()};
}

Tokens ids_of(std::span<const uint16_t> tokens, int32_t bos) {
  const std::set<uint16_t> distinct(tokens.begin(), tokens.end());
  Tokens ids(distinct.begin(), distinct.end());
  std::erase(ids, static_cast<uint16_t>(bos));
  return ids;
}

Tokens random_stream(int64_t count, std::span<const uint16_t> ids, std::span<const double> law, int32_t bos, NumpyRandom* random) {
  constexpr int64_t kDocument = 200;
  Tokens stream(static_cast<size_t>(count), static_cast<uint16_t>(bos));
  std::vector<double> scratch(law.size());
  for (int64_t i = 0; i < count; ++i) {
    if (i % kDocument == 0) continue;
    const uint16_t id = law.empty() ? draw(ids, random) : ids[static_cast<size_t>(random->choice(law, scratch))];
    stream[static_cast<size_t>(i)] = id;
  }
  return stream;
}

Tokens every_token(const ByteTables& tables, int32_t bos, NumpyRandom* random) {
  Tokens stream{static_cast<uint16_t>(bos)};
  const std::vector<int32_t> order = shuffled(tables.vocab(), random);
  for (const int32_t id : order) stream.push_back(static_cast<uint16_t>(id));
  for (const int32_t id : order) {
    if (tables.leading_space[static_cast<size_t>(id)] == 0) continue;
    stream.push_back(static_cast<uint16_t>(bos));
    stream.push_back(static_cast<uint16_t>(id));
  }
  return stream;
}

std::vector<int64_t> document_starts(std::span<const uint16_t> tokens, int32_t bos) {
  std::vector<int64_t> starts{0};
  for (size_t i = 1; i < tokens.size(); ++i) {
    if (tokens[i] == bos) starts.push_back(static_cast<int64_t>(i));
  }
  return starts;
}

}  // namespace sixteen
