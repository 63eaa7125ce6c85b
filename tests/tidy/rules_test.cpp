// The scanner and the rules on snippets, good and bad: a rule that finds nothing anywhere would pass the tree unseen.
#include "tests/tidy/rules.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/tidy/scan.h"

namespace sixteen::tidy {
namespace {

std::string names(std::string_view source) {
  std::string joined;
  for (const Function& function : find_functions(source))
    joined += (joined.empty() ? "" : " ") + function.name + "/" + std::to_string(function.lines);
  return joined;
}

std::string long_function(const std::string& head, int body_lines) {
  std::string text = head + " {\n";
  for (int i = 0; i < body_lines; ++i) text += "  work();\n";
  return text + "}\n";
}

TEST(Scan, BlanksCommentsAndLiteralsOnly) {
  EXPECT_EQ(blank_text("a /* { */ b"), "a         b");
  EXPECT_EQ(blank_text("a // {\nb"), "a     \nb");
  EXPECT_EQ(blank_text(R"(f("{\"{", '{', '\'');)"), R"(f("    ", ' ', '  ');)");
  EXPECT_EQ(blank_text("x = R\"(}\n\")\"; y"), "x = R\"  \n  \"; y");
  EXPECT_EQ(blank_text("x = R\"ab( )\" )ab\"; y"), "x = R\"          \"; y");
  EXPECT_EQ(blank_text("n = 1'000'000; c = 'x';"), "n = 1'000'000; c = ' ';");
  EXPECT_EQ(blank_text("s = \"// no\"; t"), "s = \"     \"; t");
  EXPECT_EQ(blank_text("#define F(x) { \\\n  {\nint a;"), "                \n   \nint a;");
  EXPECT_EQ(blank_text("/* open"), "       ");
}

TEST(Scan, FindsFunctionsOfEveryForm) {
  EXPECT_EQ(names("int f() { return 1; }"), "f/1");
  EXPECT_EQ(names("namespace a::b {\nvoid A::g(int x) const noexcept {\n}\n}"), "A::g/2");
  EXPECT_EQ(names("template <class T = int, int N = (3)>\nT h(T a = T{}) {\n  return {};\n}"), "h/4");
  EXPECT_EQ(
      names("class C : public B<int> {\n public:\n  C() : a_{1}, b_(2), c_{} {\n  }\n  ~C() { x(); }\n int a_{0};\n};"),
      "C/2 ~C/1");
  EXPECT_EQ(names("bool operator==(const A& x, const A& y) { return true; }"), "operator==/1");
  EXPECT_EQ(names("struct F { int operator()(int x) const { return x; } };"), "operator()/1");
  EXPECT_EQ(names("std::function<void(int)> make(std::map<int, int> m) { return [](int) {}; }"), "make/1");
  EXPECT_EQ(names("__attribute__((target(\"avx2\"))) void k(float* x) { }"), "k/1");
  EXPECT_EQ(names("[[noreturn]] void fail(const char* what) { }"), "fail/1");
  EXPECT_EQ(names("auto t() -> std::vector<int> { return {}; }"), "t/1");
  EXPECT_EQ(names("extern \"C\" {\nint c(void) { return 0; }\n}"), "c/1");
  EXPECT_EQ(names("TEST(Suite, Case) {\n  if (a) { b(); }\n}"), "Suite.Case/3");
  EXPECT_EQ(names("A::A(int n) noexcept : Base(n), v_{n, {1, 2}} {}"), "A::A/1");
}

TEST(Scan, TakesNothingElseForAFunction) {
  EXPECT_EQ(names("enum class E : uint8_t { kA, kB };"), "");
  EXPECT_EQ(names("struct S { int a{1}; int b[2] = {1, 2}; };"), "");
  EXPECT_EQ(names("const std::vector<int> kTable = {f(1), f(2)};\nint after;"), "");
  EXPECT_EQ(names("auto kLambda = [](int x) { return x; };"), "");
  EXPECT_EQ(names("REGISTER(a, [](int x) { return x; });\nvoid f() {}"), "f/1");
  EXPECT_EQ(names("void declared(int x);\nint x = f(3);"), "");
  EXPECT_EQ(names("void outer() {\n  struct L { void inner() {} };\n  auto g = [] { h(); };\n  for (;;) { }\n}"),
            "outer/5");
  EXPECT_EQ(names("// void f() {\n/* void g() {} */ const char* s = \"void h() {}\";"), "");
  EXPECT_EQ(names("template <class T>\nconcept Sized = requires(T t) { t.size(); };\nint z() { return 0; }"), "z/1");
}

TEST(Scan, SeesUnbalancedText) {
  EXPECT_TRUE(balanced("void f() { g('}', \"(\"); } // }"));
  EXPECT_FALSE(balanced("void f() { {"));
  EXPECT_FALSE(balanced("void f() } {"));
  EXPECT_FALSE(balanced("void f( { ) }"));
}

TEST(Rules, LongFilesAndFunctions) {
  const std::string at_limit = long_function("void f()", kMaxFunctionLines - 2);
  EXPECT_TRUE(check_lengths("model/a.cpp", at_limit).empty());
  const Findings one_more = check_lengths("model/a.cpp", long_function("int A::g()", kMaxFunctionLines - 1));
  ASSERT_EQ(one_more.size(), 1u);
  EXPECT_EQ(one_more[0].where, "model/a.cpp:A::g");
  // A body that text in literals seems to close early, or never, is measured right.
  const Findings tricky =
      check_lengths("model/a.cpp", long_function("void f() { g(\"}\", '}'); /* } */", kMaxFunctionLines) + "}");
  ASSERT_EQ(tricky.size(), 1u);
  EXPECT_EQ(tricky[0].where, "model/a.cpp:f");
  EXPECT_TRUE(check_lengths("model/a.cpp", std::string(kMaxFileLines, '\n')).empty());
  EXPECT_EQ(check_lengths("model/a.cpp", std::string(kMaxFileLines + 1, '\n')).size(), 1u);
  EXPECT_EQ(check_lengths("model/a.cpp", "void f() {\n").size(), 1u);
}

TEST(Rules, Arrows) {
  const auto count = [](const char* path, const char* text) { return check_includes(path, text).size(); };
  EXPECT_EQ(count("graph/a.h", "#include \"formats/error.h\"\n#include <vector>\n"), 0u);
  EXPECT_EQ(count("formats/a.h", "#include \"graph/op.h\"\n"), 1u);
  EXPECT_EQ(count("graph/a.cpp", "#include \"model/config.h\"\n"), 1u);
  EXPECT_EQ(count("model/a.cpp", "  #  include \"trainer/loop.h\"\n"), 1u);
  EXPECT_EQ(count("trainer/a.cpp", "#include \"evaluator/windows.h\"\n#include \"packer/gptq.h\"\n"), 2u);
  EXPECT_EQ(count("packer/a.cpp", "#include \"packer/gptq.h\"\n#include \"model/config.h\"\n"), 0u);
  EXPECT_EQ(count("evaluator/a.cpp", "#include \"tests/support/data.h\"\n"), 1u);
  EXPECT_EQ(count("tests/model/a.cpp", "#include \"tests/support/data.h\"\n#include \"trainer/loop.h\"\n"), 0u);
  EXPECT_EQ(count("graph/a.cpp", "#include \"op.h\"\n"), 1u);
  EXPECT_EQ(count("graph/a.cpp", "#include \"../graph/op.h\"\n"), 1u);
  EXPECT_EQ(count("graph/a.cpp", "// #include \"model/config.h\"\n/*\n#include \"model/config.h\"\n*/\n"), 0u);
  EXPECT_EQ(count("graph/cuda/a.cu", "#include <cuda_runtime.h>\n#include <nccl.h>\n"), 0u);
  EXPECT_EQ(count("graph/cpu/a.cpp", "#include <cuda_runtime.h>\n"), 1u);
  EXPECT_EQ(count("trainer/a.cpp", "#include <cublasLt.h>\n#include <nccl.h>\n"), 2u);
}

TEST(Rules, Text) {
  const auto count = [](const char* path, const std::string& text) { return check_text(path, text).size(); };
  EXPECT_EQ(count("model/a.cpp", "// What it is for.\nint a;\n"), 0u);
  EXPECT_EQ(count("model/a.cpp", "int a;  // late\n"), 1u);
  EXPECT_EQ(count("model/a.cpp", ""), 1u);
  EXPECT_EQ(count("model/a.h", "// Header.\nint a;\n"), 1u);
  EXPECT_EQ(count("model/a.h", "// Header.\n#pragma once\nint a;\n"), 0u);
  EXPECT_EQ(count("configs/a.toml", "[model]\n"), 1u);
  EXPECT_EQ(count("configs/a.toml", "# A config.\n[model]\n"), 0u);
  EXPECT_EQ(count("model/a.cpp", "// A.\nint a; \n"), 1u);
  EXPECT_EQ(count("model/a.cpp", "// A.\n\tint a;\n"), 1u);
  EXPECT_EQ(count("model/a.cpp", "// A.\r\n"), 1u);
  EXPECT_EQ(count("model/a.cpp", "// A."), 1u);
  for (const std::string& marker : {std::string("TO") + "DO", std::string("FIX") + "ME", std::string("XX") + "X"})
    EXPECT_EQ(count("model/a.cpp", "// A " + marker + ": later\n"), 1u) << marker;
}

TEST(Rules, Paths) {
  EXPECT_TRUE(check_path("formats/file.cpp").empty());
  EXPECT_TRUE(check_path("model/common_mistakes.md").empty());
  for (const char* path :
       {"utils/a.cpp", "model/utils.h", "graph/common/a.h", "tests/helpers/a.cpp", "packer/helper.cpp"})
    EXPECT_EQ(check_path(path).size(), 1u) << path;
}

TEST(Rules, BuildLists) {
  const std::vector<std::string> sources = {"graph/a.cpp", "graph/a.h", "graph/b.cpp"};
  EXPECT_TRUE(check_build_lists(sources, "set(GRAPH_SOURCES\n  graph/a.cpp\n  graph/b.cpp\n)\n").empty());
  EXPECT_EQ(check_build_lists(sources, "set(GRAPH_SOURCES\n  graph/b.cpp\n)\n").size(), 1u);
  EXPECT_EQ(check_build_lists(sources, "set(GRAPH_SOURCES\n  # graph/a.cpp\n  graph/b.cpp\n)\n").size(), 1u);
  EXPECT_EQ(check_build_lists(sources, "set(GRAPH_SOURCES\n  graph/b.cpp\n  graph/a.cpp\n)\n").size(), 1u);
  EXPECT_TRUE(check_build_lists({}, "set(B_SOURCES\n  graph/b.cpp\n)\nset(TESTS_A\n  graph/a.cpp\n)\n").empty());
}

TEST(Rules, Exceptions) {
  const Findings findings = {{"model/a.cpp", "500 lines"}, {"model/b.cpp:f", "90 lines"}};
  const std::string reason = " one table that is easier to read whole\n";
  EXPECT_EQ(apply_exceptions(findings, "# none\n\n").size(), 2u);
  EXPECT_TRUE(apply_exceptions(findings, "model/a.cpp" + reason + "model/b.cpp:f" + reason).empty());
  EXPECT_EQ(apply_exceptions(findings, "model/a.cpp" + reason).size(), 1u);
  const Findings stale =
      apply_exceptions(findings, "model/a.cpp" + reason + "model/b.cpp:f" + reason + "model/c.cpp" + reason);
  ASSERT_EQ(stale.size(), 1u);
  EXPECT_EQ(stale[0].where, "model/c.cpp");
  EXPECT_EQ(apply_exceptions(findings, "model/a.cpp big\nmodel/b.cpp:f" + reason).size(), 1u);
}

}  // namespace
}  // namespace sixteen::tidy
