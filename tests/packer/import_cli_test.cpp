// The commands import and export as users run them: files out, exit codes, nothing left behind.
#include <gtest/gtest.h>

#include "model/checkpoint.h"
#include "tests/support/pack_commands.h"
#include "tests/support/scratch.h"
#include "tests/support/shared_data.h"
#include "tests/support/torch_writer.h"

namespace sixteen {
namespace {

using testing::Outcome;
using testing::run_pack;
using testing::Scratch;
using testing::shared_path;

TEST(ImportCli, CodesComeOutAsTheyWentIn) {
  REQUIRE_SHARED("oracle/artifact/726/final_model.int6.ptz");
  const Scratch scratch;
  const std::string source = shared_path("oracle/artifact/726/final_model.int6.ptz");
  const Outcome plain = run_pack({"import", "--set", "rope.dims=4", "--set", "xsa_last_n=2", source, "-o", scratch.path("m.safetensors")});
  EXPECT_EQ(plain.code, 0) << plain.err;
  EXPECT_NE(plain.out.find("with the settings of pr726"), std::string::npos) << plain.out;
  EXPECT_NE(plain.out.find("assumed, since the file does not say it: "), std::string::npos) << plain.out;
  const Outcome packed = run_pack({"import", source, "-o", scratch.path("m.s16"), "--system", "pr726", "--set", "rope.dims=4", "--set", "xsa_last_n=2", "--json"});
  EXPECT_EQ(packed.code, 0) << packed.err;
  EXPECT_NE(packed.out.find("\"settings_from\":\"the settings of pr726\""), std::string::npos) << packed.out;
  EXPECT_EQ(run_pack({"export", scratch.path("m.s16"), "-o", scratch.path("again.safetensors")}).code, 0);

  const Model first = load_checkpoint(scratch.path("m.safetensors")), artifact = load_model(scratch.path("m.s16")),
              exported = load_checkpoint(scratch.path("again.safetensors"));
  EXPECT_EQ(first.store.flat, artifact.store.flat);
  EXPECT_EQ(first.store.flat, exported.store.flat);
  EXPECT_EQ(to_json(first.config), to_json(exported.config));
}

TEST(ImportCli, BadInputLeavesNothingBehind) {
  const Scratch scratch, out;
  testing::PickleWriter attack;
  attack.begin_dict().text("w").global("os", "system").raw("(").text("touch " + out.path("owned")).raw("tR").end_dict();
  testing::TorchWriter plain;
  plain.pickle().begin_dict();
  plain.floats("weight", {2}, {1, 2});
  plain.pickle().end_dict();
  testing::TorchWriter deep;
  deep.pickle().begin_dict();
  deep.floats("mlp_up_bank", {257, 1, 1}, std::vector<float>(257, 1.5f));
  deep.pickle().end_dict();
  const std::pair<std::string, std::string> cases[] = {
      {scratch.write("deep.pt", deep.file()), "tensor mlp_up_bank: expected up to 256 layers, found 257"},
      {scratch.write("attack.pt", testing::torch_zip(attack.finish())), "wants the global os.system"},
      {scratch.write("text.pt", testing::from_text("some text")), "no PyTorch file"},
      {scratch.write("empty.pt", {}), "no PyTorch file: it is empty"},
      {scratch.write("other.pt", plain.file()), "its tensors are those of no known system"},
      {scratch.path("absent.pt"), "absent.pt"},
  };
  for (const auto& [path, part] : cases) {
    for (const char* name : {"m.safetensors", "m.s16"}) {
      const Outcome refused = run_pack({"import", path, "-o", out.path(name)});
      EXPECT_EQ(refused.code, 1) << path;
      EXPECT_NE(refused.err.find(part), std::string::npos) << refused.err;
      EXPECT_EQ(std::count(refused.err.begin(), refused.err.end(), '\n'), 1) << refused.err;
      EXPECT_EQ(out.count(), 0u) << path;
    }
  }
}

TEST(ImportCli, OtherCommandsPointToIt) {
  const Scratch scratch;
  const std::string file = scratch.write("x.ptz", testing::from_text("no magic number, as Brotli has none"));
  for (const Outcome& refused : {run_pack({"inspect", file}), run_pack({"pack", file, "-o", scratch.path("m.s16")})}) {
    EXPECT_EQ(refused.code, 1);
    EXPECT_NE(refused.err.find("'sixteen-pack import'"), std::string::npos) << refused.err;
  }
  EXPECT_EQ(scratch.count(), 1u);
}

TEST(ImportCli, WrongUsage) {
  const Scratch scratch;
  testing::TorchWriter w;
  w.pickle().begin_dict();
  w.floats("tok_emb.weight", {2, 2}, {1, 2, 3, 4});
  w.pickle().end_dict();
  const std::string file = scratch.write("x.pt", w.file());
  EXPECT_EQ(run_pack({"import", file}).code, 2);
  EXPECT_EQ(run_pack({"import", file, "-o", scratch.path("m.bin")}).code, 2);
  EXPECT_EQ(run_pack({"import", file, "-o", scratch.path("m.s16"), "--system", "pr2"}).code, 2);
  EXPECT_EQ(run_pack({"import", file, "-o", scratch.path("m.s16"), "--system", "pr726", "--config", "x.toml"}).code, 2);
  EXPECT_EQ(scratch.count(), 1u);
}

}  // namespace
}  // namespace sixteen
