// Exit codes, the one-line promise of errors, what goes to which stream, and the numbers' layout.
#include "model/console.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "formats/error.h"

namespace sixteen {
namespace {

struct Outcome {
  int code;
  std::string out, err;
};

// Runs "tool work ARGS" whose callback is `body`.
Outcome run(std::vector<std::string> args, const std::function<void(const Console&)>& body) {
  args.insert(args.begin(), "tool");
  std::vector<char*> argv;
  for (std::string& a : args) argv.push_back(a.data());
  auto console = std::make_shared<Console>();
  auto need = std::make_shared<int>();
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  Outcome outcome;
  outcome.code = run_main("tool", "a tool", static_cast<int>(argv.size()), argv.data(), [&](CLI::App& app) {
    CLI::App* command = app.add_subcommand("work", "works");
    add_console_options(*command, console.get());
    command->callback([console, &body] { body(*console); });
    app.add_subcommand("demand", "needs an option")->add_option("--need", *need)->required();
  });
  outcome.out = ::testing::internal::GetCapturedStdout();
  outcome.err = ::testing::internal::GetCapturedStderr();
  return outcome;
}

TEST(Console, JsonIsTheLastLineOfStdout) {
  auto body = [](const Console& console) {
    Progress progress(console, "count", 10, "things");
    progress.update(10);
    console.say("three ", 3);
    progress.finish();
    console.result({{"path", "bad\xff utf8"}, {"nan", std::numeric_limits<double>::quiet_NaN()}});
  };
  const Outcome both = run({"work", "--json"}, body);
  EXPECT_EQ(both.code, 0);
  EXPECT_EQ(both.out.substr(0, 8), "three 3\n");
  const auto object = nlohmann::json::parse(both.out.substr(8));
  EXPECT_TRUE(object["nan"].is_null());
  EXPECT_NE(both.err.find("count: 100 %, 10 things"), std::string::npos) << both.err;

  const Outcome quiet = run({"work", "--quiet", "--json"}, body);
  EXPECT_EQ(quiet.out, both.out.substr(8));
  EXPECT_EQ(quiet.err, "");
  EXPECT_EQ(run({"work"}, body).out, "three 3\n");
}

TEST(Console, ExitCodes) {
  auto nothing = [](const Console&) {};
  EXPECT_EQ(run({"work"}, nothing).code, 0);
  EXPECT_EQ(run({"--help"}, nothing).code, 0);
  EXPECT_EQ(run({"work", "--help"}, nothing).code, 0);
  EXPECT_EQ(run({"--version"}, nothing).code, 0);
  const Outcome unknown = run({"work", "--nonsense"}, nothing);
  EXPECT_EQ(unknown.code, 2);
  EXPECT_NE(unknown.err.find("--nonsense"), std::string::npos) << unknown.err;
  EXPECT_NE(unknown.err.find("tool work --help"), std::string::npos) << unknown.err;
  EXPECT_EQ(run({}, nothing).code, 2);
  const Outcome mistyped = run({"demand", "--nede", "3"}, nothing);
  EXPECT_EQ(mistyped.code, 2);
  EXPECT_EQ(mistyped.err, "tool: unknown option --nede (see 'tool demand --help')\n");
  EXPECT_EQ(run({"demand"}, nothing).err, "tool: --need is required (see 'tool demand --help')\n");
  const Outcome play = run({"play"}, nothing);
  EXPECT_EQ(play.code, 2);
  EXPECT_EQ(play.err, "tool: 'play' is not a command; expected one of: work demand\n");
  const Outcome failed = run({"work"}, [](const Console&) { fail("x.bin: no"); });
  EXPECT_EQ(failed.code, 1);
  EXPECT_EQ(failed.err, "tool: x.bin: no\n");
  EXPECT_EQ(run({"work"}, [](const Console&) { throw UsageError("no"); }).code, 2);
  EXPECT_EQ(run({"work"}, [](const Console&) { throw std::bad_alloc(); }).err, "tool: out of memory\n");
  EXPECT_EQ(run({"work"}, [](const Console&) { throw std::runtime_error("odd\nthing"); }).err,
            "tool: unexpected error: odd thing\n");
}

TEST(Console, Numbers) {
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(7), "7");
  EXPECT_EQ(format_count(0.5), "0.50");
  EXPECT_EQ(format_count(950), "950");
  EXPECT_EQ(format_count(12345), "12.3 k");
  EXPECT_EQ(format_count(999499), "999 k");
  EXPECT_EQ(format_count(999600), "1.00 M");
  EXPECT_EQ(format_count(2.5e9), "2.50 G");
  EXPECT_EQ(format_duration(0), "0:00");
  EXPECT_EQ(format_duration(59.6), "1:00");
  EXPECT_EQ(format_duration(3725), "1:02:05");
}

// What a terminal receives on both streams while `body` runs.
std::string on_terminal(const std::function<void()>& body) {
  const int terminal = posix_openpt(O_RDWR | O_NOCTTY);
  EXPECT_TRUE(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0);
  const int slave = open(ptsname(terminal), O_RDWR | O_NOCTTY);
  std::fflush(stdout);
  const int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
  dup2(slave, STDOUT_FILENO);
  dup2(slave, STDERR_FILENO);
  body();
  std::fflush(stdout);
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  for (const int fd : {out, err, slave}) close(fd);
  std::string text;  // read to its end, which comes once nobody has the terminal open
  char part[1024];
  for (ssize_t size; (size = read(terminal, part, sizeof part)) > 0;) text.append(part, static_cast<size_t>(size));
  close(terminal);
  return text;
}

TEST(Console, ProgressGivesWayToLines) {
  const std::string text = on_terminal([] {
    const Console console;
    Progress outer(console, "training", 0, "steps");
    usleep(110'000);  // a terminal's line comes ten times a second
    outer.update(3, "a long note");
    console.say("step 3");
    usleep(110'000);
    outer.update(4, "a long note");
    {
      Progress inner(console, "val", 0, "w");
      usleep(110'000);
      inner.update(1);
    }
    console.say("done");
  });
  const size_t first = text.find("\rtraining: 3 steps"), line = text.find("\rstep 3\r\n"),
               done = text.find("\rdone\r\n");
  ASSERT_TRUE(first < line && line < done && done != std::string::npos) << text;
  // Before a line there is nothing but blanks, as many as the progress had characters.
  const size_t blanks = text.rfind('\r', line - 1);
  EXPECT_EQ(text.substr(blanks + 1, line - blanks - 1), std::string(blanks - first - 1, ' ')) << text;
  EXPECT_NE(text.find("\rval: 1 w"), std::string::npos) << text;
  EXPECT_EQ(text.substr(done), "\rdone\r\n") << "something follows the last line";
}

TEST(Console, FirstSignalRaisesAFlagAndTheSecondKills) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // the linked BLAS has threads of its own
  EXPECT_EXIT(
      {
        install_interrupt_handler();
        if (interrupted()) std::exit(3);
        raise(SIGINT);
        if (!interrupted()) std::exit(4);
        try {
          stop_if_interrupted("use --resume");
        } catch (const Error& e) {
          std::fprintf(stderr, "%s", e.what());
        }
        raise(SIGINT);
      },
      ::testing::KilledBySignal(SIGINT), "interrupted; use --resume");
}

}  // namespace
}  // namespace sixteen
