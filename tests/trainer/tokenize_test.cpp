// Text files, tokenizer training and shards: the challenge's validation shards byte for byte, and what bad files get.
#include "trainer/tokenize.h"

#include <gtest/gtest.h>
#include <lzma.h>
#include <unistd.h>

#include <filesystem>
#include <functional>

#include "formats/error.h"
#include "formats/file.h"
#include "formats/shard.h"
#include "formats/tokenizer.h"
#include "tests/support/shared_data.h"
#include "trainer/corpus.h"
#include "trainer/text_source.h"
#include "trainer/tokenizer_train.h"

namespace sixteen {
namespace {

namespace fs = std::filesystem;
using testing::shared_path;

const Console kQuiet{.json = false, .quiet = true};

class Tokenize : public ::testing::Test {
 protected:
  Tokenize() : folder_(fs::temp_directory_path() / ("sixteen-tokenize-" + std::to_string(getpid()))) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~Tokenize() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string file(const std::string& name, const std::string& content) const {
    write_file(path(name), content);
    return path(name);
  }
  std::string xz_file(const std::string& name, const std::string& content) const {
    std::string packed(content.size() + 1000, '\0');
    size_t size = 0;
    EXPECT_EQ(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC64, nullptr, reinterpret_cast<const uint8_t*>(content.data()),
                                      content.size(), reinterpret_cast<uint8_t*>(packed.data()), &size, packed.size()),
              LZMA_OK);
    return file(name, packed.substr(0, size));
  }
  // A tokenizer of 400 pieces trained on sample text; every test of this file can afford it (under 0.2 s).
  std::string tokenizer() const {
    if (!fs::exists(path("t.model"))) {
      write_corpus(path("train.txt"), 300000, 1, kQuiet);
      train_tokenizer({.text = {path("train.txt")}, .vocab = 400, .out = path("t.model")}, kQuiet);
    }
    return path("t.model");
  }
  fs::path folder_;
};

std::string error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

std::vector<std::string> documents_of(const std::vector<std::string>& paths,
                                      TxtDocuments txt = TxtDocuments::kBlankLine) {
  TextSource source(paths, txt);
  std::vector<std::string> documents;
  TextRecord record;
  while (source.next(&record)) documents.push_back(document_text(record));
  EXPECT_EQ(source.file_bytes(), source.file_bytes_done());
  return documents;
}

TEST_F(Tokenize, ReadsEveryKindOfTextFile) {
  const std::string text = "\xEF\xBB\xBF\n\none\r\ntwo\r\n\n  \nthree\n\n\nfo\xC3\xBCr";
  const std::vector<std::string> expected = {"one\ntwo", "three", "fo\xC3\xBCr"};
  EXPECT_EQ(documents_of({file("a.txt", text)}), expected);
  EXPECT_EQ(documents_of({xz_file("a.txt.xz", text)}), expected);
  EXPECT_EQ(documents_of({path("a.txt")}, TxtDocuments::kLine),
            (std::vector<std::string>{"one", "two", "three", "fo\xC3\xBCr"}));
  EXPECT_EQ(documents_of({path("a.txt")}, TxtDocuments::kFile).size(), 1u);
  const std::string json = "{\"src\": 1, \"text\": \"a\\nb \\u00fc\"}\n\n{\"text\": \"c\"}";
  const std::vector<std::string> two = {"a\nb \xC3\xBC", "c"};
  EXPECT_EQ(documents_of({file("b.jsonl", json)}), two);
  EXPECT_EQ(documents_of({xz_file("b.jsonl.xz", json)}), two);
  EXPECT_EQ(documents_of({path("a.txt"), path("b.jsonl")}).size(), 5u);  // a document never runs over a file's end
  EXPECT_TRUE(documents_of({file("empty.txt", "")}).empty());
  std::string large;  // over several blocks of the reader
  for (int i = 0; i < 60000; ++i) large += "line " + std::to_string(i) + (i % 1000 == 999 ? "\n\n" : "\n");
  EXPECT_EQ(documents_of({xz_file("l.txt.xz", large)}), documents_of({file("l.txt", large)}));
  EXPECT_EQ(documents_of({path("l.txt")}).size(), 60u);
}

TEST_F(Tokenize, BadTextNamesFileAndLine) {
  auto reading = [&](const std::string& p) { return error_of([&] { documents_of({p}); }); };
  EXPECT_NE(reading(path("none.txt")).find("none.txt: cannot open"), std::string::npos);
  EXPECT_NE(reading(folder_.string()).find("not a regular file"), std::string::npos);
  EXPECT_NE(reading(file("latin.txt", "ok\n\nfine\nf\xFC r\n")).find("latin.txt: line 4: not UTF-8"),
            std::string::npos);
  EXPECT_NE(reading(file("j.jsonl", "{\"text\":\"a\"}\n{\"text\":")).find("j.jsonl: line 2"), std::string::npos);
  EXPECT_NE(reading(file("k.jsonl", "{\"txt\":\"a\"}\n")).find("k.jsonl: line 1: expected a string field"),
            std::string::npos);
  EXPECT_NE(reading(file("n.jsonl", "{\"text\":5}\n")).find("n.jsonl: line 1: expected a string field"),
            std::string::npos);
  std::string packed = read_text_file(xz_file("whole.txt.xz", std::string(5000, 'x')));
  EXPECT_NE(reading(file("cut.txt.xz", packed.substr(0, packed.size() / 2))).find("xz stream"), std::string::npos);
  packed[packed.size() / 2] ^= 1;
  EXPECT_NE(reading(file("flip.txt.xz", packed)).find("xz stream"), std::string::npos);
  for (const char* bad : {"\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82", "\x80"}) {
    EXPECT_NE(reading(file("u.txt", bad)).find("line 1: not UTF-8"), std::string::npos);
  }
  EXPECT_EQ(reading(file("good.txt", "\xF4\x8F\xBF\xBF \xEE\x80\x80 \xF0\x90\x80\x80")), "no error");
}

TEST_F(Tokenize, TokenizerHasTheChallengesSettingsAndIsDeterministic) {
  const Tokenizer model(tokenizer());
  EXPECT_EQ(model.vocab(), 400);
  EXPECT_EQ(model.bos_id(), 1);
  const ByteTables tables = model.byte_tables();
  for (int id = 0; id < 4; ++id) EXPECT_TRUE(tables.boundary[id] == 1 && tables.base_bytes[id] == 0);
  for (int id = 4; id < 260; ++id) EXPECT_TRUE(tables.boundary[id] == 0 && tables.base_bytes[id] == 1);
  const std::string odd = "The 123 \xE2\x98\x83 caf\xC3\xA9";  // the snowman is no piece: byte fallback
  EXPECT_EQ(model.decode(model.encode(odd)), odd);
  int digits = 0;
  for (int32_t id : model.encode("123")) digits += static_cast<int>(model.decode(std::vector<int32_t>{id}).size());
  EXPECT_EQ(model.encode("123").size(), 3u);  // digits split, no dummy prefix
  EXPECT_EQ(digits, 3);
  EXPECT_EQ(model.decode(model.encode("\xEF\xAC\x81n")), "fin");  // nfkc: the ligature fi
  const std::string first = read_text_file(path("t.model"));
  train_tokenizer({.text = {path("train.txt")}, .vocab = 400, .out = path("t.model")}, kQuiet);
  EXPECT_EQ(read_text_file(path("t.model")), first);
}

TEST_F(Tokenize, TokenizerSamplesAndRefuses) {
  write_corpus(path("c.jsonl"), 400000, 2, kQuiet);
  const TokenizerTrained half =
      train_tokenizer({.text = {path("c.jsonl")}, .vocab = 350, .max_bytes = 200000, .out = path("h.model")}, kQuiet);
  EXPECT_LE(half.text_bytes_used, 200000u);
  EXPECT_GT(half.text_bytes_used, 180000u);
  EXPECT_LT(half.documents_used, half.documents);
  auto training = [&](const std::string& text, int64_t vocab, const std::string& out) {
    return error_of([&] { train_tokenizer({.text = {text}, .vocab = vocab, .out = out}, kQuiet); });
  };
  EXPECT_NE(training(path("c.jsonl"), 299, path("x.model")).find("--vocab 299"), std::string::npos);
  EXPECT_NE(training(file("tiny.txt", "a b c"), 1000, path("x.model")).find("--vocab 1000"), std::string::npos);
  EXPECT_NE(training(file("no.txt", "\n"), 400, path("x.model")).find("no text"), std::string::npos);
  EXPECT_NE(training(path("c.jsonl"), 400, "/nonexistent/x.model").find("/nonexistent/x.model"), std::string::npos);
  EXPECT_FALSE(fs::exists(path("x.model")));
}

TEST_F(Tokenize, ShardsHoldTheDocumentsInTheOrderGiven) {
  const std::string text = file("d.txt", "first one\n\nsecond\nwith two lines\n\nthe third\n\nfourth");
  const Tokenizer model(tokenizer());
  std::vector<uint16_t> val, train;
  for (const char* document : {"first one", "second\nwith two lines", "the third", "fourth"}) {
    std::vector<uint16_t>& split = val.empty() ? val : train;
    split.push_back(1);
    for (int32_t id : model.encode(document)) split.push_back(static_cast<uint16_t>(id));
  }
  const Tokenized result = tokenize({.tokenizer = tokenizer(),
                                     .text = {text},
                                     .out = path("out"),
                                     .val_documents = 1,
                                     .shard_tokens = 10,
                                     .shuffle = false},
                                    kQuiet);
  EXPECT_EQ(read_shards(path("out/tokens_val_*.bin"), 400), val);
  EXPECT_EQ(read_shards(path("out/tokens_train_*.bin"), 400), train);
  EXPECT_EQ(result.train.files.size(), (train.size() + 9) / 10);
  EXPECT_EQ(TokenShard(result.train.files[0]).tokens().size(), 10u);
  EXPECT_EQ(result.val.bytes, 9);  // "first one"
  EXPECT_EQ(result.train.bytes, 21 + 9 + 6);
  EXPECT_EQ(result.train.documents, 3);
}

TEST_F(Tokenize, SameShardsForAnyNumberOfThreads) {
  const std::string text = path("c.txt");
  write_corpus(text, 1500000, 9, kQuiet);  // six batches of the reader
  Tokenization job{.tokenizer = tokenizer(), .text = {text}, .out = path("one"), .val_documents = 5, .threads = 1};
  const Tokenized one = tokenize(job, kQuiet);
  job.out = path("five");
  job.threads = 5;
  tokenize(job, kQuiet);
  for (const char* shard : {"tokens_val_000000.bin", "tokens_train_000000.bin"}) {
    EXPECT_EQ(read_text_file(path("one/") + shard), read_text_file(path("five/") + shard));
  }
  EXPECT_EQ(one.val.documents, 5);
  EXPECT_EQ(one.text_bytes,
            one.val.bytes + one.train.bytes);  // ASCII text without runs of blanks: nothing is normalised away
  job.out = path("other");
  job.seed = 2;
  tokenize(job, kQuiet);
  EXPECT_NE(read_text_file(path("one/tokens_val_000000.bin")), read_text_file(path("other/tokens_val_000000.bin")));
}

TEST_F(Tokenize, FailureLeavesNothingAndOldShardsAreNotMixed) {
  Tokenization job{
      .tokenizer = tokenizer(), .text = {path("train.txt")}, .out = path("o"), .shard_tokens = 20000, .shuffle = false};
  const size_t many = tokenize(job, kQuiet).train.files.size();
  EXPECT_GT(many, 3u);
  EXPECT_NE(error_of([&] { tokenize(job, kQuiet); }).find("--overwrite"), std::string::npos);
  job.overwrite = true;
  job.shard_tokens = 1000000;
  tokenize(job, kQuiet);
  EXPECT_EQ(glob_files(path("o/tokens_train_*.bin")).size(), 1u);
  job.out = path("p");
  job.shard_tokens = 1000;
  job.text.push_back(file("bad.jsonl", "{\"text\":\"a\"}\nnonsense\n"));
  EXPECT_NE(error_of([&] { tokenize(job, kQuiet); }).find("bad.jsonl: line 2"), std::string::npos);
  EXPECT_TRUE(fs::is_empty(path("p")));
  job.text = {file("none.txt", "\n\n")};
  EXPECT_NE(error_of([&] { tokenize(job, kQuiet); }).find("no text"), std::string::npos);
  job.tokenizer = path("train.txt");
  EXPECT_NE(error_of([&] { tokenize(job, kQuiet); }).find("train.txt"), std::string::npos);
}

class ChallengeShards : public Tokenize, public ::testing::WithParamInterface<std::string> {};

TEST_P(ChallengeShards, FinewebValByteForByte) {
  REQUIRE_SHARED("data/fineweb/fineweb_val_docs.jsonl");
  const std::string vocab = GetParam(), shard = "fineweb_val_000000.bin";
  const Tokenized result = tokenize({.tokenizer = shared_path("data/tokenizers/fineweb_" + vocab + "_bpe.model"),
                                     .text = {shared_path("data/fineweb/fineweb_val_docs.jsonl")},
                                     .out = path("v"),
                                     .prefix = "fineweb",
                                     .val_documents = 901,
                                     .shuffle = false},
                                    kQuiet);
  EXPECT_TRUE(read_text_file(path("v/" + shard)) ==
              read_text_file(shared_path("data/shards/sp" + vocab + "/" + shard)));
  EXPECT_EQ(result.val.documents, 901);
  EXPECT_EQ(result.val.bytes, 2504310);
  EXPECT_TRUE(result.train.files.empty());
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, ChallengeShards, ::testing::Values("1024", "8192"));

}  // namespace
}  // namespace sixteen
