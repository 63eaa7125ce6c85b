// See tokenize.h. Threads take turns at reading a batch, encode it side by side, and hand it over in the order of reading.
#include "trainer/tokenize.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <utility>

#include "formats/error.h"
#include "formats/shard.h"
#include "formats/tokenizer.h"
#include "model/numpy_random.h"
#include "model/process_clock.h"

namespace sixteen {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBatchBytes = 1 << 18;  // of raw records; large enough that the turn-taking costs nothing

// Documents as tokens, BOS included, one behind the other.
struct EncodedBatch {
  std::vector<uint16_t> tokens;
  std::vector<int64_t> lengths;  // tokens of each document
  std::vector<int64_t> bytes;    // by the byte tables, of each document
  int64_t text_bytes = 0;
  uint64_t file_bytes_done = 0;
};

EncodedBatch encode_batch(const std::vector<TextRecord>& records, const Tokenizer& tokenizer,
                          const ByteTables& tables) {
  EncodedBatch batch;
  const int32_t bos = tokenizer.bos_id();
  for (const TextRecord& record : records) {
    const std::string text = document_text(record);
    const std::vector<int32_t> ids = tokenizer.encode(text);
    batch.text_bytes += static_cast<int64_t>(text.size());
    batch.tokens.push_back(static_cast<uint16_t>(bos));
    int32_t previous = bos;
    int64_t bytes = 0;
    for (const int32_t id : ids) {
      bytes += tables.bytes(id, previous);
      batch.tokens.push_back(static_cast<uint16_t>(id));
      previous = id;
    }
    batch.lengths.push_back(static_cast<int64_t>(ids.size()) + 1);
    batch.bytes.push_back(bytes);
  }
  return batch;
}

// Runs `threads` readers-and-encoders; `consume` gets every batch in the order of the text, one call at a time.
class EncodingTeam {
 public:
  EncodingTeam(TextSource* source, const Tokenizer& tokenizer, std::function<void(const EncodedBatch&)> consume)
      : source_(source), tokenizer_(tokenizer), tables_(tokenizer.byte_tables()), consume_(std::move(consume)) {}

  void run(int threads) {
    std::vector<std::thread> team;
    for (int i = 0; i < threads; ++i) team.emplace_back([this] { work(); });
    for (std::thread& member : team) member.join();
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  void work() {
    try {
      std::vector<TextRecord> records;
      int64_t number = 0;
      uint64_t done = 0;
      while (read(&records, &number, &done)) {
        EncodedBatch batch = encode_batch(records, tokenizer_, tables_);
        batch.file_bytes_done = done;
        std::unique_lock lock(turn_mutex_);
        turn_changed_.wait(lock, [&] { return turn_ == number || failure_; });
        if (failure_) return;
        consume_(batch);
        ++turn_;
        turn_changed_.notify_all();
      }
    } catch (...) {
      std::lock_guard lock(turn_mutex_);
      if (!failure_) failure_ = std::current_exception();
      turn_changed_.notify_all();
    }
  }

  bool read(std::vector<TextRecord>* records, int64_t* number, uint64_t* done) {
    std::lock_guard lock(read_mutex_);
    records->clear();
    stop_if_interrupted();
    size_t bytes = 0;
    TextRecord record;
    while (bytes < kBatchBytes && source_->next(&record)) {
      bytes += record.raw.size();
      records->push_back(std::move(record));
      record = {};
    }
    *number = batches_read_++;
    *done = source_->file_bytes_done();
    return !records->empty();
  }

  TextSource* source_;
  const Tokenizer& tokenizer_;
  const ByteTables tables_;
  std::function<void(const EncodedBatch&)> consume_;
  std::mutex read_mutex_, turn_mutex_;
  std::condition_variable turn_changed_;
  int64_t batches_read_ = 0, turn_ = 0;
  std::exception_ptr failure_;
};

// The shards of one split. Whatever was written is removed again unless keep() is reached.
class SplitWriter {
 public:
  SplitWriter(std::string stem, int64_t shard_tokens) : stem_(std::move(stem)), shard_tokens_(shard_tokens) {}
  ~SplitWriter() {
    std::error_code ignored;
    for (const std::string& file : kept_ ? std::vector<std::string>() : counts_.files) fs::remove(file, ignored);
  }

  void add(std::span<const uint16_t> document, int64_t bytes) {
    ++counts_.documents;
    counts_.tokens += static_cast<int64_t>(document.size());
    counts_.bytes += bytes;
    while (!document.empty()) {
      const size_t room = static_cast<size_t>(shard_tokens_) - buffer_.size();
      const auto part = document.first(std::min(room, document.size()));
      buffer_.insert(buffer_.end(), part.begin(), part.end());
      document = document.subspan(part.size());
      if (std::cmp_equal(buffer_.size(), shard_tokens_)) flush();
    }
  }
  void flush() {
    if (buffer_.empty()) return;
    char number[16];
    std::snprintf(number, sizeof number, "_%06zu.bin", counts_.files.size());
    write_shard(stem_ + number, buffer_);
    counts_.files.push_back(stem_ + number);
    buffer_.clear();
  }
  void keep() { kept_ = true; }
  const SplitCounts& counts() const { return counts_; }

 private:
  std::string stem_;
  int64_t shard_tokens_;
  std::vector<uint16_t> buffer_;
  SplitCounts counts_;
  bool kept_ = false;
};

// All documents in memory, until the order can be drawn.
struct Library {
  struct Document {
    int64_t batch, first, length, bytes;
  };
  std::vector<std::vector<uint16_t>> batches;
  std::vector<Document> documents;

  void add(const EncodedBatch& batch) {
    int64_t first = 0;
    for (size_t i = 0; i < batch.lengths.size(); ++i) {
      documents.push_back({static_cast<int64_t>(batches.size()), first, batch.lengths[i], batch.bytes[i]});
      first += batch.lengths[i];
    }
    batches.push_back(batch.tokens);  // a copy has no spare capacity
  }
  std::span<const uint16_t> tokens(const Document& d) const {
    return std::span<const uint16_t>(batches[d.batch]).subspan(d.first, d.length);
  }
};

// Shards of this prefix that are in the folder already, which is made when absent.
std::vector<std::string> find_old_shards(const Tokenization& job) {
  std::error_code error;
  fs::create_directories(job.out, error);
  if (!fs::is_directory(job.out)) fail("--out ", job.out, ": cannot make the folder: ", error.message());
  std::vector<std::string> old;
  for (const auto& entry : fs::directory_iterator(job.out)) {
    const std::string name = entry.path().filename().string();
    const bool ours = name.starts_with(job.prefix + "_train_") || name.starts_with(job.prefix + "_val_");
    if (ours && name.ends_with(".bin")) old.push_back((fs::path(job.out) / name).string());
  }
  if (!old.empty() && !job.overwrite) {
    fail(old.front(), " is there already; choose another --out or --prefix, or replace such shards with --overwrite");
  }
  return old;
}

void remove_leftovers(const std::vector<std::string>& old, const SplitCounts& val, const SplitCounts& train) {
  auto has = [](const SplitCounts& split, const std::string& file) {
    return std::find(split.files.begin(), split.files.end(), file) != split.files.end();
  };
  for (const std::string& file : old) {
    if (!has(val, file) && !has(train, file)) fs::remove(file);
  }
}

void check_job(const Tokenization& job) {
  if (job.prefix.empty() || job.prefix.find('/') != std::string::npos) {
    throw UsageError("--prefix: expected the beginning of a file name");
  }
  if (job.shard_tokens < 1 || job.shard_tokens > 2'000'000'000) {
    throw UsageError("--shard-tokens: expected 1 to 2,000,000,000");
  }
  if (job.val_documents < 0) throw UsageError("--val-docs: expected 0 or more");
}

}  // namespace

Tokenized tokenize(const Tokenization& job, const Console& console) {
  check_job(job);
  const auto start = std::chrono::steady_clock::now();
  const Tokenizer tokenizer(job.tokenizer);
  if (tokenizer.vocab() > 65536) fail(job.tokenizer, ": ", tokenizer.vocab(), " pieces; shards hold ids below 65,536");
  TextSource source(job.text, job.txt);
  const std::vector<std::string> old = find_old_shards(job);
  const std::string stem = (fs::path(job.out) / job.prefix).string();
  SplitWriter val(stem + "_val", job.shard_tokens), train(stem + "_train", job.shard_tokens);
  auto place = [&](std::span<const uint16_t> document, int64_t bytes) {
    SplitWriter& split = val.counts().documents < job.val_documents ? val : train;
    split.add(document, bytes);
  };

  Tokenized result;
  Library library;
  Progress progress(console, "tokenize", source.file_bytes(), "B");
  EncodingTeam team(&source, tokenizer, [&](const EncodedBatch& batch) {
    result.text_bytes += batch.text_bytes;
    if (job.shuffle) {
      library.add(batch);
    } else {
      std::span<const uint16_t> rest = batch.tokens;
      for (size_t i = 0; i < batch.lengths.size(); ++i) {
        place(rest.first(batch.lengths[i]), batch.bytes[i]);
        rest = rest.subspan(batch.lengths[i]);
      }
    }
    progress.update(batch.file_bytes_done);
  });
  team.run(job.threads > 0 ? job.threads : std::max(1, static_cast<int>(std::thread::hardware_concurrency())));
  if (job.shuffle) {
    std::vector<int32_t> order(library.documents.size());
    NumpyRandom(job.seed).permutation(order);
    for (const int32_t i : order) place(library.tokens(library.documents[i]), library.documents[i].bytes);
  }
  if (result.text_bytes == 0) fail(job.text.front(), ": no text in the given files");
  val.flush();
  train.flush();
  progress.update(source.file_bytes());
  progress.finish();
  val.keep();
  train.keep();
  remove_leftovers(old, val.counts(), train.counts());
  result.val = val.counts();
  result.train = train.counts();
  result.seconds = seconds_since(start);
  return result;
}

}  // namespace sixteen
