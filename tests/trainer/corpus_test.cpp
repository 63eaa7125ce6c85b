// The sample text: same bytes everywhere, clean English spelling rules, facts that hold, and the files it is written to.
#include "trainer/corpus.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "formats/error.h"
#include "formats/file.h"
#include "formats/sha256.h"
#include "trainer/corpus_grammar.h"
#include "trainer/corpus_world.h"
#include "trainer/corpus_writer.h"
#include "trainer/text_source.h"

namespace sixteen {
namespace {

const Console kQuiet{.json = false, .quiet = true};

std::string temporary(const std::string& name) {
  return (std::filesystem::temp_directory_path() / ("sixteen-" + std::to_string(getpid()) + "-" + name)).string();
}

TEST(Corpus, DocumentsDependOnSeedAndNumberOnly) {
  SampleCorpus forwards(7), backwards(7), other(8);
  std::vector<std::string> documents;
  for (int i = 0; i < 40; ++i) documents.push_back(forwards.document(i));
  for (int i = 39; i >= 0; --i) EXPECT_EQ(backwards.document(i), documents[i]);
  EXPECT_EQ(std::set<std::string>(documents.begin(), documents.end()).size(), 40u);
  EXPECT_NE(other.document(0), documents[0]);
}

// Changes whenever the text is edited on purpose: take the new value then. What it guards is that nothing else (compiler,
// library, machine) moves a byte.
TEST(Corpus, BytesAreFixed) {
  SampleCorpus corpus(1);
  std::string text;
  for (int i = 0; i < 500; ++i) text += corpus.document(i) + "\n\n";
  EXPECT_EQ(to_hex(sha256(std::as_bytes(std::span(text)))),
            "36183cb1a2b53d74efc8c463314ffd4d34e20829204618c32c03ea09a2994c06");
}

TEST(Corpus, TextIsClean) {
  SampleCorpus corpus(3);
  const std::regex bad(
      R"([{}\[\]|]|  |\b[Aa] [aio]|\ban [b-df-hj-np-tv-z](?!our)|[,;] ?[.,]|\.\.|\n\n|[.?!] [a-z][a-z]+ [a-z]+\.)");
  std::set<std::string> words;
  size_t bytes = 0;
  for (int i = 0; i < 1500; ++i) {
    const std::string text = corpus.document(i);
    bytes += text.size();
    for (size_t start = 0; start < text.size();) {
      const size_t end = std::min(text.find('\n', start), text.size());
      const std::string line = text.substr(start, end - start);
      ASSERT_FALSE(line.empty());
      ASSERT_TRUE(std::isupper(static_cast<unsigned char>(line[0])) ||
                  std::isdigit(static_cast<unsigned char>(line[0])) || line[0] == '"')
          << line;
      start = end + 1;
      std::smatch found;
      if (std::regex_search(line, found, bad) && found.str().find("?\"") == std::string::npos) {
        ASSERT_TRUE(false) << "'" << found.str() << "' in: " << line;
      }
    }
    const std::regex word("[A-Za-z]+");
    for (std::sregex_iterator it(text.begin(), text.end(), word), none; it != none; ++it) words.insert(it->str());
  }
  EXPECT_GT(words.size(), 3000u);
  EXPECT_GT(bytes / 1500, 800u);
}

TEST(Corpus, FactsHoldAcrossDocuments) {
  const SampleWorld& world = sample_world();
  SampleCorpus corpus(11);
  const std::regex fact(R"((\w+) is a town of ([\d,]+) people on the river (\w+))");
  int checked = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::string text = corpus.document(i);
    std::smatch found;
    if (!std::regex_search(text, found, fact)) continue;
    for (const Town& town : world.towns) {
      if (town.name != found[1]) continue;
      SCOPED_TRACE(town.name);
      std::string population = found[2];
      std::erase(population, ',');
      EXPECT_EQ(std::to_string(town.population), population);
      EXPECT_EQ(town.river, found[3]);
      EXPECT_NE(text.find(world.people[town.mayor].full), std::string::npos) << "the mayor is named in the portrait";
      ++checked;
      break;
    }
  }
  EXPECT_GT(checked, 20);
  std::set<std::string> names;
  for (const Town& town : world.towns) EXPECT_TRUE(names.insert(town.name).second) << town.name;
  for (const Person& person : world.people) EXPECT_TRUE(names.insert(person.full).second) << person.full;
  for (const Company& company : world.companies) EXPECT_TRUE(names.insert(company.name).second) << company.name;
}

TEST(Corpus, WritesTextAndJsonlWithTheSameDocuments) {
  const std::string txt = temporary("c.txt"), jsonl = temporary("c.jsonl");
  const CorpusWritten a = write_corpus(txt, 60000, 5, kQuiet);
  const CorpusWritten b = write_corpus(jsonl, 60000, 5, kQuiet);
  EXPECT_GE(a.file_bytes, 60000u);
  EXPECT_LT(a.file_bytes, 60000u + 20000u);
  EXPECT_EQ(a.file_bytes, std::filesystem::file_size(txt));
  EXPECT_EQ(b.file_bytes, std::filesystem::file_size(jsonl));
  TextSource from_txt({txt}), from_jsonl({jsonl});
  TextRecord x, y;
  SampleCorpus corpus(5);
  for (int64_t i = 0; i < std::min(a.documents, b.documents); ++i) {
    ASSERT_TRUE(from_txt.next(&x) && from_jsonl.next(&y));
    EXPECT_EQ(document_text(x), corpus.document(i));
    EXPECT_EQ(document_text(y), corpus.document(i));
  }
  std::filesystem::remove(txt);
  std::filesystem::remove(jsonl);
  EXPECT_THROW(write_corpus("/nonexistent/folder/c.txt", 100, 1, kQuiet), Error);
}

TEST(CorpusGrammar, FormsNumbersArticlesAndCapitals) {
  EXPECT_EQ(make_word("box"), (Word{"box", "boxes", "boxed", "boxing"}));
  EXPECT_EQ(make_word("carry"), (Word{"carry", "carries", "carried", "carrying"}));
  EXPECT_EQ(make_word("bake"), (Word{"bake", "bakes", "baked", "baking"}));
  EXPECT_EQ(make_word("key"), (Word{"key", "keys", "keyed", "keying"}));
  EXPECT_EQ(make_word("goose/geese")[1], "geese");
  EXPECT_EQ(make_word("sell//sold/selling"), (Word{"sell", "sells", "sold", "selling"}));

  const Grammar grammar = parse_grammar({R"(
document:
  {!x=fruit}{a} {x} fell. {two} {x:s} are {n=5-5:w}, {m=7-7} and {s=n+m} or {d=m-n:w}. "{a} {hour}?" said the man. // {two} more
fruit = orange
hour = hour
two:
  two
)"});
  CorpusWriter writer(grammar, sample_world(), 1);
  EXPECT_EQ(writer.document(0),
            "An orange fell. Two oranges are five, 7 and 12 or two. \"An hour?\" said the man.\nTwo more");
}

}  // namespace
}  // namespace sixteen
