// Pickles as data, and pickles as weapons: each is refused by the name of what it tried.
#include "formats/pickle.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/torch_writer.h"

namespace sixteen {
namespace {

using Kind = PickleValue::Kind;
using testing::ByteVector;
using testing::expect_error;
using testing::from_text;
using testing::PickleWriter;
using namespace std::string_literals;

const PickleGlobal kGlobals[] = {{"torch.FloatStorage", false}, {"torch._utils._rebuild_tensor_v2", true}};

Pickle parse(const std::string& pickle) { return parse_pickle(from_text(pickle), kGlobals, "p"); }

void refused(const std::string& part, const std::string& pickle) {
  expect_error(part, [&] { parse(pickle); });
}

// {"a": [1, -2, 2**40, 1.5], "b": (None, True, False), "c": ("x",)} as Python 3.11 pickles it with each protocol.
const char* const kByProtocol[] = {
    "80027d71002858010000006171015d7102284b014afeffffff8a06000000000001473ff80000000000006558010000006271034e888987710458010000006371"
    "055801000000787106857107752e",
    "80037d71002858010000006171015d7102284b014afeffffff8a06000000000001473ff80000000000006558010000006271034e888987710458010000006371"
    "055801000000787106857107752e",
    "80049538000000000000007d94288c0161945d94284b014afeffffff8a06000000000001473ff8000000000000658c0162944e888987948c0163948c01789485"
    "94752e",
    "80059538000000000000007d94288c0161945d94284b014afeffffff8a06000000000001473ff8000000000000658c0162944e888987948c0163948c01789485"
    "94752e"};

TEST(Pickle, ValuesOfProtocols2To5) {
  for (const char* hex : kByProtocol) {
    const Pickle pickle = parse_pickle(testing::from_hex(hex), {}, "p");
    const PickleValue *a = pickle.root->find("a"), *b = pickle.root->find("b"), *c = pickle.root->find("c");
    ASSERT_TRUE(a != nullptr && b != nullptr && c != nullptr);
    EXPECT_EQ(pickle.root->find("d"), nullptr);
    ASSERT_TRUE(a->is(Kind::kList) && a->items.size() == 4);
    EXPECT_EQ(a->items[0]->integer, 1);
    EXPECT_EQ(a->items[1]->integer, -2);
    EXPECT_EQ(a->items[2]->integer, int64_t{1} << 40);
    EXPECT_EQ(a->items[3]->real, 1.5);
    ASSERT_TRUE(b->is(Kind::kTuple) && b->items.size() == 3);
    EXPECT_TRUE(b->items[0]->is(Kind::kNone));
    EXPECT_EQ(b->items[1]->integer, 1);
    EXPECT_TRUE(b->items[2]->is(Kind::kBool) && b->items[2]->integer == 0);
    EXPECT_EQ(c->items.at(0)->text, "x");
  }
}

TEST(Pickle, LengthIsChecked) {
  for (const char* hex : kByProtocol) {
    testing::expect_length_checked(testing::from_hex(hex), [](const ByteVector& p) { parse_pickle(p, {}, "p"); });
  }
}

TEST(Pickle, CallsAreRecordedNotMade) {
  const Pickle pickle = parse(PickleWriter().global("torch._utils", "_rebuild_tensor_v2").raw("(").integer(7).raw("tR").finish());
  ASSERT_TRUE(pickle.root->is(Kind::kCall));
  EXPECT_EQ(pickle.root->text, "torch._utils._rebuild_tensor_v2");
  EXPECT_EQ(pickle.root->items.at(0)->items.at(0)->integer, 7);
}

TEST(Pickle, MetadataOfAStateDictIsDropped) {
  const auto with = [](const std::string& attribute) {
    return PickleWriter().global("collections", "OrderedDict").raw(")R").text("k").integer(1).raw("s")
        .begin_dict().text(attribute).raw(")").end_dict().raw("b").finish();
  };
  const Pickle pickle = parse(with("_metadata"));
  EXPECT_TRUE(pickle.root->is(Kind::kDict) && pickle.root->ordered);
  EXPECT_EQ(pickle.root->find("k")->integer, 1);
  refused("BUILD sets the attribute the string \"__class__\"", with("__class__"));
  refused("BUILD of a dict from a tuple", "\x80\x02})b."s);
  refused("BUILD of the int 5 from a dict", "\x80\x02K\x05}b."s);
}

TEST(Pickle, GlobalsAreRefusedByName) {
  const std::string shell = "(" + PickleWriter().text("touch /tmp/owned").finish().substr(2);
  refused("wants the global os.system,", PickleWriter().global("os", "system").raw(shell).raw("tR").finish());
  refused("wants the global posix.system,", PickleWriter().global("posix", "system").finish());
  refused("wants the global builtins.eval,", "\x80\x04\x8c\x08"s + "builtins\x8c\x04" + "eval\x93\x8c\x01" + "1\x85R.");
  refused("wants the global builtins.getattr,", PickleWriter().global("builtins", "getattr").finish());
  refused("wants the global torch.load,", PickleWriter().global("torch", "load").finish());
  refused("wants the global torch.FloatStorage?x,", PickleWriter().global("torch", "FloatStorage\tx").finish());
  refused("STACK_GLOBAL of something that is no name", "\x80\x04NN\x93."s);
}

TEST(Pickle, OpcodesAreRefusedByName) {
  const std::pair<std::string, std::string> cases[] = {
      {"(ios\nsystem\n.", "INST"}, {"(o.", "OBJ"},     {")\x81.", "NEWOBJ"},    {"))}\x92.", "NEWOBJ_EX"}, {"\x82\x01.", "EXT1"},
      {"Pid\n.", "PERSID"},        {"2.", "DUP"},      {"I1\n.", "INT"},        {"S'x'\n.", "STRING"},     {"g0\n.", "GET"},
      {"(d.", "DICT"},             {"(l.", "LIST"},    {"C\x01x.", "SHORT_BINBYTES"}, {"\x8f.", "EMPTY_SET"}, {"\x97.", "NEXT_BUFFER"},
      {"\x8b\x01\x00\x00\x00\x01."s, "LONG4"},         {"\xff.", "number 255"}};
  for (const auto& [code, name] : cases) refused("opcode " + name + ",", "\x80\x02" + code);
}

TEST(Pickle, StackAndMemoAreGuarded) {
  refused("STOP with 0 values", "\x80\x02."s);
  refused("STOP with 2 values", "\x80\x02NN."s);
  refused("STOP with", "\x80\x02N(."s);
  refused("empty stack", "\x80\x02\x85."s);
  refused("empty stack", "\x80\x02N(0."s);  // may not take what lies below the mark
  refused("no mark", "\x80\x02Nt."s);
  refused("memo slot 3 is empty", "\x80\x02h\x03."s);
  refused("memo slot 4294967295", "\x80\x02Nr\xff\xff\xff\xff."s);
  refused("APPEND of 1 values to a tuple", "\x80\x02)Na."s);
  refused("SETITEMS of 1 values to a dict", "\x80\x02}(Nu."s);
  refused("REDUCE calls None with a tuple", "\x80\x02N)R."s);
  refused("REDUCE calls torch.FloatStorage, which is no function", PickleWriter().global("torch", "FloatStorage").raw(")R").finish());
  refused("OrderedDict with arguments", PickleWriter().global("collections", "OrderedDict").raw("(NtR").finish());
  refused("LONG1 of 9 bytes", "\x80\x02\x8a\x09"s + "123456789.");
  refused("truncated: expected 4294967295 bytes", "\x80\x02X\xff\xff\xff\xff."s);
  refused("truncated: expected 18446744073709551615 bytes", "\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff."s);
  refused("expected protocol 2 to 5, found 6", "\x80\x06N."s);
  refused("no pickle of protocol 2", "(dp0\n.");
}

// Each level holds the one below ten times: 10^200 values if anybody copied them.
TEST(Pickle, LaughsCostNothing) {
  std::string bomb = "\x80\x02Nq"s + '\0';
  for (int level = 1; level < 200; ++level) {
    bomb += "(";
    for (int i = 0; i < 10; ++i) bomb += std::string("h") + static_cast<char>(level - 1);
    bomb += std::string("tq") + static_cast<char>(level);
    bomb += "0";
  }
  const Pickle pickle = parse(bomb + "0h\xc7.");
  EXPECT_EQ(pickle.root->items.size(), 10u);
  EXPECT_EQ(pickle.values.size(), 200u);
}

TEST(Pickle, DepthIsHarmlessOrRefused) {
  const std::string deep = "\x80\x02N"s + std::string(900'000, '\x85') + ".";  // tuples in tuples
  EXPECT_TRUE(parse(deep).root->is(Kind::kTuple));
  refused("more than 1048576 values", "\x80\x02N"s + std::string(1'100'000, '\x85') + ".");
  refused("nested deeper than 1000", "\x80\x02"s + std::string(2000, '('));
  refused("expected at most 16777216 bytes", "\x80\x02"s + std::string(17 << 20, 'N'));
  const Pickle cycle = parse("\x80\x02]q\x01h\x01"s + "a.");  // a list in itself
  EXPECT_EQ(cycle.root->items.at(0), cycle.root);
}

}  // namespace
}  // namespace sixteen
