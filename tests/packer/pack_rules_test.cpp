// The rules of [pack]: which tensor gets which, what is refused and how, and the sizes of the published systems.
#include "packer/pack_rules.h"

#include <gtest/gtest.h>

#include <map>

#include "packer/pack_config.h"
#include "tests/support/bytes.h"
#include "tests/support/tiny_model.h"

namespace sixteen {
namespace {

using testing::expect_error;

PackConfig parse(const std::string& rules, const std::string& head = "") {
  ConfigFile file = ConfigFile::parse("[pack]\n" + head + "\n" + rules, "r.toml");
  return read_pack_config(file.section("pack"), 2048, "r.toml");
}

std::string rule(const std::string& lines) { return "[[pack.rules]]\n" + lines + "\n"; }

// The mode and quantiser of every tensor.
std::map<std::string, std::string> modes(const PackConfig& config, const ModelConfig& model) {
  const ParamTable table(model);
  const std::vector<PackRule> rules = rules_of(config);
  const std::vector<size_t> assigned = assign_rules(rules, model, table, "m");
  std::map<std::string, std::string> result;
  for (size_t i = 0; i < assigned.size(); ++i) {
    const PackRule& r = rules[assigned[i]];
    result[table.specs()[i].name] = mode_name(r) + (r.bits > 0 ? " " + std::string(quantiser_name(r.quantiser)) : "");
  }
  return result;
}

const char kRules726[] = R"([[pack.rules]]
max_numel = 65536
mode = "fp16"
[[pack.rules]]
match = ["tok_emb"]
mode = "int8"
quantiser = "row_quantile"
round_bf16 = true
[[pack.rules]]
match = [".mlp.", ".attn.", ".proj."]
mode = "int6"
quantiser = "clip_matrix"
[[pack.rules]]
mode = "int8"
quantiser = "row_quantile"
round_bf16 = true
)";
const char kRules754[] = R"([[pack.rules]]
match = ["attn_scale", "mlp_scale", "resid_mix", "q_gain", "vr_lambda", "attn_gate", "skip_weights", "smear"]
mode = "fp32"
[[pack.rules]]
match = ["tok_emb.weight"]
mode = "fp16"
[[pack.rules]]
max_numel = 65536
mode = "fp16"
[[pack.rules]]
mode = "int6"
quantiser = "clip_row"
)";

ModelConfig system_726() {
  ModelConfig config;
  config.vocab = 1024;
  config.mlp_hidden = 1536;
  config.xsa_last_n = 4;
  config.skip = "additive";
  config.bigram.rows = 2048;
  config.smear = true;
  config.value_embedding = {.dim = 128, .layers = {9, 10}};
  return config;
}

// Bytes before compression, as the records' logs count them.
int64_t payload(const std::string& rules, const ModelConfig& model) {
  const ParamTable table(model);
  const PackConfig config = parse(rules);
  const std::vector<size_t> assigned = assign_rules(config.rules, model, table, "m");
  int64_t bytes = 0;
  for (size_t i = 0; i < assigned.size(); ++i) {
    const ParamSpec& spec = table.specs()[i];
    const PackRule& r = config.rules[assigned[i]];
    if (r.bits > 0) bytes += spec.shape.numel() + 2 * spec.shape[0];
    if (r.bits == 0) bytes += spec.shape.numel() * static_cast<int64_t>(dtype_bytes(r.plain_dtype));
  }
  return bytes;
}

TEST(PackRules, PayloadsOfThePublishedSystems) {
  ModelConfig config = system_726();
  EXPECT_EQ(payload(kRules726, config), 27204792);
  config.bigram.rows = 1536;
  EXPECT_EQ(payload(kRules726, config), 27138232);
  config.value_embedding = {};
  config.gated_attention = config.value_residual = true;
  EXPECT_EQ(payload(kRules754, config), 27693850);  // as #754's runs logged it
}

TEST(PackRules, TheFirstThatFitsDecides) {
  const ModelConfig model = system_726();
  const auto found = modes(parse(kRules726), model);
  EXPECT_EQ(found.at("blocks.3.attn.c_k.weight"), "int6 clip_matrix");
  EXPECT_EQ(found.at("blocks.10.mlp.proj.weight"), "int6 clip_matrix");
  EXPECT_EQ(found.at("tok_emb.weight"), "int8 row_quantile");
  EXPECT_EQ(found.at("bigram.embed.weight"), "int8 row_quantile");
  EXPECT_EQ(found.at("bigram.proj.weight"), "fp16");  // exactly 65536 elements
  EXPECT_EQ(found.at("blocks.0.resid_mix"), "fp16");
  const auto reversed =
      modes(parse(rule("class = 'small'\nmode = 'bf16'") + rule("match = ['c_q', 'c_k']\nmode = 'int3'") +
                  rule("class = 'embedding'\nmode = 'fp32'") + rule("mode = 'int7'\nquantiser = 'nearest'")),
            model);
  EXPECT_EQ(reversed.at("blocks.0.resid_mix"), "bf16");
  EXPECT_EQ(reversed.at("blocks.0.attn.c_k.weight"), "int3 gptq");
  EXPECT_EQ(reversed.at("ve_shared.embed.weight"), "fp32");
  EXPECT_EQ(reversed.at("bigram.proj.weight"), "int7 nearest");
}

// Layers 1 and 2 of 4 are looped once more.
TEST(PackRules, LayersThatTheLoopVisitsMoreOften) {
  const ModelConfig model = testing::tiny_config();
  const int64_t visits[] = {1, 2, 2, 1};
  for (int64_t layer = 0; layer < 4; ++layer) {
    EXPECT_EQ(tensor_visits(model, "blocks." + std::to_string(layer) + ".mlp.fc.weight"), visits[layer]);
  }
  EXPECT_EQ(tensor_visits(model, "tok_emb.weight"), 1);
  const auto found = modes(parse(rule("class = 'small'\nmode = 'fp16'") +
                                 rule("match = ['.mlp.']\nmin_visits = 2\nmode = 'int7'") + rule("mode = 'int4'")),
                           model);
  EXPECT_EQ(found.at("blocks.1.mlp.proj.weight"), "int7 gptq");
  EXPECT_EQ(found.at("blocks.2.mlp.fc.weight"), "int7 gptq");
  EXPECT_EQ(found.at("blocks.2.attn.c_q.weight"), "int4 gptq");
  EXPECT_EQ(found.at("blocks.3.mlp.proj.weight"), "int4 gptq");
  EXPECT_EQ(found.at("blocks.1.mlp_scale"), "fp16");
}

TEST(PackRules, DampingAndBlockOfEachRule) {
  const PackConfig own = parse(rule("match = ['mlp']\nmode = 'int6'\ndamping = 0.5\nblock = 16") + rule("mode = 'int6'"),
                               "damping = 0.02\nblock = 64");
  EXPECT_EQ(own.rules[0].damping, 0.5);
  EXPECT_EQ(own.rules[0].block, 16);
  EXPECT_EQ(own.rules[1].damping, 0.02);
  EXPECT_EQ(own.rules[1].block, 64);
  EXPECT_EQ(rules_of(parse("", "damping = 0.02\nblock = 64")).back().damping, 0.02);
  EXPECT_EQ(rules_of(parse("", "damping = 0.02\nblock = 64")).back().block, 64);
}

TEST(PackRules, WithoutRulesAsPr1584) {
  const ModelConfig model = testing::tiny_config();
  const ParamTable table(model);
  PackConfig config = parse("", "max_plain_numel = 256\nmatrix_bits = 5");
  const auto found = modes(config, model);
  EXPECT_EQ(found.at("tok_emb.weight"), "int8 gptq");
  EXPECT_EQ(found.at("blocks.1.mlp.fc.weight"), "int5 gptq");
  EXPECT_EQ(found.at("skip_gates"), "fp16");
  EXPECT_TRUE(needs_hessians(config, model, table, "m"));
  config.max_plain_numel = 1 << 20;
  EXPECT_FALSE(needs_hessians(config, model, table, "m"));  // nothing is left to quantise
  EXPECT_FALSE(needs_hessians(parse(kRules726), system_726(), ParamTable(system_726()), "m"));
  config.max_plain_numel = 0;
  EXPECT_EQ(modes(config, model).at("skip_gates"), "fp16");  // whatever their size
}

TEST(PackRules, DescribedInOneLine) {
  const PackConfig config =
      parse(rule("match = ['a', 'tok']\nclass = 'embedding'\nmax_numel = 9\nmode = 'int6'\nround_bf16 = true\n"
                 "quantiser = 'clip_row'\npercentiles = [0.5, 1]\nmin_clip = 0") +
            rule("max_numel = 7\nmode = 'fp32'") + rule("min_visits = 2\nmode = 'int4'\nclip_sigmas = 3\nscale_bits = 6\ndamping = 0.5\nblock = 8"));
  EXPECT_EQ(describe(config.rules[0]),
            "name has a or tok, class embedding, at most 9 elements: int6, clip_row, percentiles 0.5 1, min_clip 0, "
            "rounded to bf16");
  EXPECT_EQ(describe(config.rules[1]), "at most 7 elements: fp32");
  EXPECT_EQ(describe(config.rules[2]), "at least 2 visits: int4, gptq, clip_sigmas 3, scale_bits 6, damping 0.5, block 8");
}

TEST(PackRules, BadRulesAreRefusedByKeyValueAndRule) {
  const auto refused = [](const std::string& message, const std::string& lines) {
    expect_error("r.toml: pack.rules#2." + message, [&] { parse(rule("max_numel = 1\nmode = 'fp16'") + rule(lines)); });
  };
  for (const char* mode : {"int9", "int1", "int", "int66", "fp8", "", "INT6"}) {
    refused("mode: expected fp16, fp32, bf16 or int2 to int8, found \"" + std::string(mode) + "\"",
            "mode = '" + std::string(mode) + "'");
  }
  refused("mode: expected", "max_numel = 3");
  refused("quantiser: expected one of gptq, nearest, tcq, clip_matrix, clip_row, row_quantile, found \"awq\"",
          "mode='int6'\nquantiser='awq'");
  refused("class: expected matrix, embedding, small, found \"table\"", "mode='int6'\nclass='table'");
  refused("max_numel: expected 1 or more, found 0", "mode='fp16'\nmax_numel = 0");
  refused("match: expected at least one", "mode='fp16'\nmatch = []");
  refused("match: expected parts of names, found an empty one", "mode='fp16'\nmatch = ['']");
  refused("clip_sigmas: expected more than 0, found -1", "mode='int6'\nclip_sigmas = -1");
  refused("percentiles: expected each above 0 and at most 1, found 1.5",
          "mode='int6'\nquantiser='clip_row'\npercentiles = [0.5, 1.5]");
  refused("percentiles: expected each above 0 and at most 1, found 0",
          "mode='int6'\nquantiser='clip_row'\npercentiles = [0]");
  refused("percentiles: expected at least one", "mode='int6'\nquantiser='clip_row'\npercentiles = []");
  refused("percentiles: expected one with quantiser row_quantile, found 2",
          "mode='int8'\nquantiser='row_quantile'\npercentiles = [0.9, 1]");
  refused("min_clip: expected 0 (no floor) or more, found -1", "mode='int6'\nquantiser='clip_row'\nmin_clip = -1");
  refused("round_bf16: expected an int mode or fp16, found fp32", "mode='fp32'\nround_bf16 = true");
  refused("min_visits: expected 1 or more, found -1", "mode='fp16'\nmin_visits = -1");
  refused("damping: expected more than 0, found 0", "mode='int6'\ndamping = 0");
  refused("block: expected 1 to 1024, found 0", "mode='int6'\nblock = 0");
  refused("damping: means nothing with quantiser nearest", "mode='int6'\nquantiser='nearest'\ndamping = 0.1");
  refused("block: means nothing with mode fp16", "mode='fp16'\nblock = 8");
  refused("quantiser: means nothing with mode fp16", "mode='fp16'\nquantiser='gptq'");
  refused("percentiles: means nothing with quantiser gptq", "mode='int6'\npercentiles = [1]");
  refused("scale_bits: expected 1 to 10, found 11", "mode='int6'\nscale_bits = 11");
  refused("scale_bits: means nothing with quantiser clip_row", "mode='int6'\nquantiser='clip_row'\nscale_bits = 3");
  refused("clip_sigmas: means nothing with quantiser clip_matrix",
          "mode='int6'\nquantiser='clip_matrix'\nclip_sigmas = 3");
  expect_error("r.toml:7:1: unknown key pack.rules#2.mod (did you mean pack.rules#2.mode?)",
               [] { parse(rule("mode='fp16'\nmax_numel=2") + rule("mod = 'fp16'")); });
  expect_error("pack.rules#2: never reached, since the rule before it has no condition",
               [] { parse(rule("mode='int6'") + rule("mode='fp16'")); });
  expect_error("r.toml: [pack] matrix_bits: means nothing beside [[pack.rules]]",
               [] { parse(rule("mode='fp16'"), "matrix_bits = 5"); });
}

TEST(PackRules, RulesMustFitTheModel) {
  const ModelConfig model = testing::tiny_config();
  const ParamTable table(model);
  const auto refused = [&](const std::string& message, const std::string& rules) {
    expect_error("m: pack.rules" + message, [&] { assign_rules(parse(rules).rules, model, table, "m"); });
  };
  refused("#1.min_visits: no layer of this model is visited 3 times", rule("min_visits = 3\nmode='fp16'") + rule("mode='fp16'"));
  refused("#1.match: \"tok_emd\": no tensor of this model has that in its name",
          rule("match = ['skip', 'tok_emd']\nmode='int8'") + rule("mode = 'fp16'"));
  refused("#2.mode: int6 is for matrices, found tensor parallel_post_lambdas [4, 2, 2]",
          rule("match = ['tok_emb', 'blocks', 'skip']\nmode = 'fp16'") + rule("mode = 'int6'"));
  refused(": none fits tensor tok_emb.weight",
          rule("match = ['blocks']\nmode='fp16'") + rule("class='small'\nmode='fp32'"));
}

TEST(PackRules, CorrectionsAreOptions) {
  const PackConfig config = parse("[pack.awq]\ngroups = 2\nwidth = 32\n[pack.lqer]\ntop = 3\nrank = 2\nbits = 5");
  EXPECT_EQ(config.awq.groups, 2);
  EXPECT_EQ(config.awq.width, 32);
  EXPECT_EQ(config.low_rank.top, 3);
  EXPECT_EQ(config.low_rank.rank, 2);
  EXPECT_EQ(config.low_rank.bits, 5);
  EXPECT_EQ(parse("").awq.groups, 0);
  EXPECT_EQ(parse("").low_rank.top, 0);
  expect_error("unknown key pack.awq.group (did you mean pack.awq.groups?)", [] { parse("[pack.awq]\ngroup = 1"); });
  expect_error("r.toml: [pack.awq]: expected 0 groups or more of 1 column or more, found 1 of 0", [] { parse("[pack.awq]\ngroups = 1\nwidth = 0"); });
  expect_error("r.toml: [pack.lqer]: expected top 0 or more, rank 1 to 64 and bits 2 to 8, found 1, 65 and 4",
               [] { parse("[pack.lqer]\ntop = 1\nrank = 65"); });
}

TEST(PackRules, CodecsOfSingleStreams) {
  const PackConfig config = parse(
      "[pack.codecs]\ncodes6 = {codec = 'xz', level = 6, shuffle_stride = 1}\nplain.codec = 'zstd'\nscales.level = 3",
      "codec = 'brotli'\nlevel = 9");
  EXPECT_EQ(config.codecs.at("codes6").codec, Codec::kXz);
  EXPECT_EQ(config.codecs.at("codes6").level, 6);
  EXPECT_EQ(config.codecs.at("codes6").shuffle_stride, 1);
  EXPECT_EQ(config.codecs.at("plain").codec, Codec::kZstd);
  EXPECT_EQ(config.codecs.at("plain").level, 22);          // the codec's strongest
  EXPECT_EQ(config.codecs.at("plain").shuffle_stride, 2);  // as [pack] has it
  EXPECT_EQ(config.codecs.at("scales").codec, Codec::kBrotli);
  EXPECT_EQ(config.codecs.at("scales").level, 3);
  EXPECT_EQ(config.stream.level, 9);
  expect_error("unknown key pack.codecs.code6 (did you mean pack.codecs.codes6?)",
               [] { parse("[pack.codecs]\ncode6.level = 3"); });
  expect_error("r.toml: [pack.codecs.plain] unknown codec \"gzip\"",
               [] { parse("[pack.codecs]\nplain.codec = 'gzip'"); });
  expect_error("r.toml: [pack.codecs.plain] zstd level 23",
               [] { parse("[pack.codecs]\nplain = {codec = 'zstd', level = 23}"); });
  expect_error("r.toml: [pack.codecs.plain] shuffle_stride", [] { parse("[pack.codecs]\nplain.shuffle_stride = 0"); });
  expect_error("r.toml: [pack] brotli level 12", [] { parse("", "codec = 'brotli'\nlevel = 12"); });
}

}  // namespace
}  // namespace sixteen
