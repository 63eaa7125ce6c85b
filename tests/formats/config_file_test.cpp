// TOML sections: values, types, unknown keys with the nearest known one, positions in messages.
#include "formats/config_file.h"

#include <gtest/gtest.h>

#include "tests/support/bytes.h"
#include "tests/support/scratch.h"

namespace sixteen {
namespace {

using testing::expect_error;

struct Options {
  int seq_len = 7;
  int64_t tokens = 1;
  double lr = 0.5;
  float scale = 2;
  bool flag = false;
  std::string name = "x";
  std::vector<int64_t> layers = {9};
  std::vector<std::string> files;
  std::vector<double> shares = {0.25};
  int64_t loop_passes = 1;
  std::vector<std::string> rules;
};

Options read(const std::string& toml) {
  ConfigFile file = ConfigFile::parse(toml, "demo.toml");
  file.check_sections({"model", "train"});
  Section train = file.section("train");
  Options options;
  train.read("seq_len", &options.seq_len);
  train.read("tokens", &options.tokens);
  train.read("lr", &options.lr);
  train.read("scale", &options.scale);
  train.read("flag", &options.flag);
  train.read("name", &options.name);
  train.read("layers", &options.layers);
  train.read("files", &options.files);
  Section loop = train.table("loop");
  loop.read("passes", &options.loop_passes);
  loop.finish();
  train.read("shares", &options.shares);
  for (Section rule : train.tables("rules")) {
    rule.read("match", &options.rules.emplace_back("any"));
    rule.finish();
  }
  train.finish();
  return options;
}

TEST(ConfigFile, ReadsEveryType) {
  const Options options = read(R"(
# a comment
[train]
seq_len = 2_048
tokens = 5000000000
lr = 1e-3
scale = 3
flag = true
name = "größer"
layers = [3, 4, 5]
files = ["a", 'b']
loop = {passes = 2}
shares = [0.5, 1, -2e-3]
[[train.rules]]
match = "a"
[[train.rules]]
[[train.rules]]
match = "c"
)");
  EXPECT_EQ(options.seq_len, 2048);
  EXPECT_EQ(options.tokens, 5000000000);
  EXPECT_EQ(options.lr, 1e-3);
  EXPECT_EQ(options.scale, 3.0f);  // an integer where a float is meant
  EXPECT_TRUE(options.flag);
  EXPECT_EQ(options.name, "größer");
  EXPECT_EQ(options.layers, (std::vector<int64_t>{3, 4, 5}));
  EXPECT_EQ(options.files, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(options.loop_passes, 2);
  EXPECT_EQ(options.shares, (std::vector<double>{0.5, 1, -2e-3}));
  EXPECT_EQ(options.rules, (std::vector<std::string>{"a", "any", "c"}));
  EXPECT_EQ(read("[train]\nrules = [{match = 'x'}, {}]").rules, (std::vector<std::string>{"x", "any"}));
}

TEST(ConfigFile, AbsentKeysKeepTheirDefaults) {
  for (const char* toml : {"", "[train]", "[model]\nwhatever = 1"}) {
    const Options options = read(toml);
    EXPECT_EQ(options.seq_len, 7);
    EXPECT_EQ(options.layers, std::vector<int64_t>{9});
    EXPECT_EQ(options.loop_passes, 1);
    EXPECT_EQ(options.shares, std::vector<double>{0.25});
    EXPECT_TRUE(options.rules.empty());
  }
}

TEST(ConfigFile, UnknownNamesSuggestTheNearest) {
  expect_error("demo.toml:2:1: unknown key train.seq_lne (did you mean train.seq_len?)",
               [] { read("[train]\nseq_lne = 1"); });
  expect_error("demo.toml:2:7: unknown key train.loop.pases (did you mean train.loop.passes?)",
               [] { read("[train]\nloop={pases = 1}"); });
  expect_error("demo.toml:1:2: unknown section trian (did you mean train?)", [] { read("[trian]"); });
  expect_error("unknown key train.momentum (known here: seq_len tokens", [] { read("[train]\nmomentum = 1"); });
  expect_error("unknown section seq_len (known here: model train)", [] { read("seq_len = 1"); });
}

TEST(ConfigFile, WrongTypesNameLineAndColumn) {
  expect_error("demo.toml:2:11: train.seq_len: expected an integer", [] { read("[train]\nseq_len = 1.5"); });
  expect_error("an integer of 32 bits, found 3000000000", [] { read("[train]\nseq_len = 3000000000"); });
  expect_error("expected a finite number", [] { read("[train]\nlr = nan"); });
  expect_error("expected a finite number", [] { read("[train]\nscale = 1e300"); });
  expect_error("expected a finite number, found the string \"1\"", [] { read("[train]\nlr = \"1\""); });
  expect_error("expected true or false", [] { read("[train]\nflag = 1"); });
  expect_error("expected a string", [] { read("[train]\nname = 1"); });
  expect_error("expected an array of integers", [] { read("[train]\nlayers = 1"); });
  expect_error("expected an array of integers", [] { read("[train]\nlayers = [1, 2.5]"); });
  expect_error("expected an array of strings", [] { read("[train]\nfiles = [1]"); });
  expect_error("expected an array of finite numbers", [] { read("[train]\nshares = [0.5, inf]"); });
  expect_error("train.shares: expected an array of finite numbers", [] { read("[train]\nshares = ['1']"); });
  expect_error("train.rules: expected an array of tables", [] { read("[train.rules]\nmatch = 'a'"); });
  expect_error("train.rules#2: expected a table", [] { read("[train]\nrules = [{}, 3]"); });
  expect_error("demo.toml:4:9: train.rules#2.match: expected a string",
               [] { read("[[train.rules]]\nmatch='a'\n[[train.rules]]\nmatch = 1"); });
  expect_error("unknown key train.rules#1.mtch (did you mean train.rules#1.match?)",
               [] { read("[[train.rules]]\nmtch='a'"); });
  expect_error("train: expected a table", [] { read("train = 1"); });
  expect_error("train.loop: expected a table", [] { read("[train]\nloop = 3"); });
}

TEST(ConfigFile, BrokenTomlNamesThePlace) {
  expect_error("demo.toml:2:", [] { read("[train]\nseq_len = "); });
  expect_error("demo.toml:3:", [] { read("[train]\nlr = 1\nlr = 2"); });
  expect_error("no valid TOML", [] { read("\x01"); });
  expect_error("No such file", [] { ConfigFile("/nonexistent/demo.toml"); });
  const testing::Scratch scratch;
  const std::string path = scratch.write("a.toml", testing::from_text("[x"));
  expect_error(path + ":1:", [&] { ConfigFile file(path); });
}

TEST(ConfigFile, NearestName) {
  const std::vector<std::string> names = {"warmup_steps", "warmdown", "lr"};
  EXPECT_EQ(nearest_name("warmup_step", names), "warmup_steps");
  EXPECT_EQ(nearest_name("warm_down", names), "warmdown");
  EXPECT_EQ(nearest_name("rl", names), "");  // two edits are too many for two letters
  EXPECT_EQ(nearest_name("lt", names), "lr");
  EXPECT_EQ(nearest_name("zzzzzz", names), "");
  EXPECT_EQ(nearest_name("x", {}), "");
}

}  // namespace
}  // namespace sixteen
