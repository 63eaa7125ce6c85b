// Runs sixteen-pack within the test's process: exit code and both streams, without a program to build first.
#pragma once

#include <CLI/CLI.hpp>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "model/console.h"
#include "packer/commands.h"
#include "tests/support/program.h"

namespace sixteen::testing {

inline Outcome run_pack(std::vector<std::string> args) {
  args.insert(args.begin(), "sixteen-pack");
  std::vector<char*> argv;
  for (std::string& arg : args) argv.push_back(arg.data());
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  Outcome result;
  result.code = run_main("sixteen-pack", "", static_cast<int>(argv.size()), argv.data(), [](CLI::App& app) {
    add_pack_command(app);
    add_inspect_command(app);
    add_import_command(app);
    add_export_command(app);
    add_audit_command(app);
    add_bundle_command(app);
    add_source_command(app);
  });
  result.out = ::testing::internal::GetCapturedStdout();
  result.err = ::testing::internal::GetCapturedStderr();
  return result;
}

}  // namespace sixteen::testing
