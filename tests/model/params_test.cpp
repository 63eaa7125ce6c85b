// The parameter table (sizes, order, groups) and the initial values (constants, orthogonality, distribution, seeds).
#include "model/params.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "formats/dtype.h"

namespace sixteen {
namespace {

ModelConfig record() {
  ConfigFile file(std::string(SIXTEEN_SOURCE_DIR) + "/configs/pr1584.toml");
  return read_model_config(file.section("model"), "pr1584.toml");
}

ModelConfig small() {
  ModelConfig config;
  config.vocab = 96;
  config.layers = 4;
  config.dim = 48;
  config.heads = 4;
  config.kv_heads = 2;
  config.mlp_hidden = 80;
  config.rope.dims = 8;
  config.xsa_last_n = 4;
  config.parallel.kind = "two_lane";
  config.parallel.start_layer = 3;
  return config;
}

std::map<ParamGroup, int64_t> group_sizes(const ParamTable& table) {
  std::map<ParamGroup, int64_t> sizes;
  for (const ParamSpec& spec : table.specs()) sizes[spec.group] += spec.shape.numel();
  return sizes;
}

TEST(Params, RecordHas35944602) {
  const ParamTable table(record());
  EXPECT_EQ(table.parameters(), 35944602);
  const std::map<ParamGroup, int64_t> sizes = group_sizes(table);  // spec T1
  EXPECT_EQ(sizes.at(ParamGroup::kMatrix), 31719424);
  EXPECT_EQ(sizes.at(ParamGroup::kToken), 4194304);
  EXPECT_EQ(sizes.at(ParamGroup::kScalar), 30874);
  EXPECT_EQ(std::count_if(table.specs().begin(), table.specs().end(),
                          [](const ParamSpec& spec) { return spec.quant == QuantClass::kMatrix; }),
            66);
  EXPECT_EQ(table.at("skip_gates").shape, (Shape{8, 512}));
  EXPECT_EQ(table.at("parallel_post_lambdas").shape, (Shape{11, 2, 2}));
  EXPECT_EQ(table.at("blocks.10.attn.c_v.weight").shape, (Shape{256, 512}));
}

TEST(Params, EverySystemHasItsPublishedCount) {
  for (const auto& [name, count] : std::map<std::string, int64_t>{{"pr726", 26993756},
                                                                 {"pr754", 26809543},
                                                                 {"pr754-first", 26809543},
                                                                 {"pr1555", 35944602 + 3 * 512},
                                                                 {"pr1584", 35944602}}) {
    ConfigFile file(std::string(SIXTEEN_SOURCE_DIR) + "/configs/" + name + ".toml");
    EXPECT_EQ(ParamTable(read_model_config(file.section("model"), name)).parameters(), count) << name;
  }
  EXPECT_EQ(35944602 + 16384 * 512, 44333210);  // #1584 with its hash table, as its log counts
}

TEST(Params, BankOrderAndOffsets) {
  const ParamTable table(small());
  const std::vector<ParamSpec>& specs = table.specs();
  EXPECT_EQ(specs[0].name, "blocks.0.attn.c_q.weight");
  EXPECT_EQ(specs[1].name, "blocks.0.attn.proj.weight");
  EXPECT_EQ(specs[8].name, "blocks.0.attn.c_k.weight");
  EXPECT_EQ(specs[9].name, "blocks.0.attn.c_v.weight");
  EXPECT_EQ(specs[16].name, "blocks.0.mlp.fc.weight");
  EXPECT_EQ(specs[20].name, "blocks.0.mlp.proj.weight");
  EXPECT_EQ(specs[24].name, "tok_emb.weight");
  int64_t end = 0;
  for (const ParamSpec& spec : specs) {
    EXPECT_EQ(spec.offset % 16, 0) << spec.name;
    EXPECT_GE(spec.offset, end) << spec.name;
    EXPECT_LT(spec.offset, end + 16) << spec.name;
    end = spec.offset + spec.shape.numel();
  }
  EXPECT_GE(table.flat_size(), end);
  EXPECT_EQ(table.find("skip_weightz"), nullptr);
}

TEST(Params, OptionsDecideWhichControlTensorsExist) {
  ModelConfig config = small();
  config.parallel.kind = "none";
  config.skip = "additive";
  const ParamTable table(config);
  EXPECT_EQ(table.find("parallel_post_lambdas"), nullptr);
  EXPECT_EQ(table.find("skip_gates"), nullptr);
  EXPECT_NE(table.find("skip_weights"), nullptr);
  config.skip = "none";
  EXPECT_EQ(ParamTable(config).find("skip_weights"), nullptr);
}

// Largest entry of M M^T - 1 over the shorter side of the matrix [rows, cols].
double orthogonality_error(std::span<const float> m, int64_t rows, int64_t cols) {
  const bool by_row = rows <= cols;
  const int64_t n = std::min(rows, cols), length = std::max(rows, cols);
  double worst = 0;
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      double dot = 0;
      for (int64_t k = 0; k < length; ++k) {
        dot += by_row ? double{m[i * cols + k]} * m[j * cols + k] : double{m[k * cols + i]} * m[k * cols + j];
      }
      worst = std::max(worst, std::abs(dot - (i == j ? 1 : 0)));
    }
  }
  return worst;
}

TEST(Init, MatricesAreOrthogonalOrZero) {
  const ModelConfig config = small();
  ParamStore store(std::make_shared<ParamTable>(config));
  initialise(config, 1337, &store);
  for (const char* name : {"attn.c_q", "attn.c_k", "attn.c_v", "mlp.fc"}) {
    const std::string tensor = std::string("blocks.2.") + name + ".weight";
    const Shape shape = store.table->at(tensor).shape;
    EXPECT_LT(orthogonality_error(store.tensor(tensor), shape[0], shape[1]), 1e-6)
        << tensor;  // fp32 roundings of exact ones
  }
  for (const char* name : {"blocks.1.attn.proj.weight", "blocks.1.mlp.proj.weight", "skip_gates"}) {
    for (const float value : store.tensor(name)) EXPECT_EQ(value, 0);
  }
}

TEST(Init, ConstantsAndRounding) {
  ModelConfig config = small();
  ParamStore store(std::make_shared<ParamTable>(config));
  initialise(config, 1, &store);
  EXPECT_EQ(store.tensor("parallel_resid_lambdas")[3], 1.1f);
  EXPECT_EQ(store.tensor("blocks.0.attn.q_gain")[1], 5.0f);
  EXPECT_EQ(store.tensor("skip_weights")[7], 1.0f);
  EXPECT_EQ(store.tensor("blocks.3.resid_mix")[47], 1.0f);
  EXPECT_EQ(store.tensor("blocks.3.resid_mix")[48], 0.0f);
  config.init_round_bf16 = true;
  initialise(config, 1, &store);
  EXPECT_EQ(store.tensor("parallel_resid_lambdas")[3], 1.1015625f);  // trap T2
  for (const float value : store.flat) EXPECT_EQ(value, round_to_bf16(value));
}

TEST(Init, TokenEmbeddingIsGaussian) {
  ModelConfig config = small();
  config.vocab = 4096;
  ParamStore store(std::make_shared<ParamTable>(config));
  initialise(config, 5, &store);
  double sum = 0, squares = 0, fourth = 0;
  const std::span<const float> values = store.tensor("tok_emb.weight");
  for (const float value : values) {
    const double z = value / config.embed_init_std;
    sum += z;
    squares += z * z;
    fourth += z * z * z * z;
  }
  const double n = static_cast<double>(values.size());  // 196,608; five standard errors each
  EXPECT_NEAR(sum / n, 0, 5 / std::sqrt(n));
  EXPECT_NEAR(squares / n, 1, 5 * std::sqrt(2 / n));
  EXPECT_NEAR(fourth / n, 3, 5 * std::sqrt(96 / n));
}

TEST(Init, DependsOnSeedAndNameAlone) {
  ModelConfig config = small();
  ParamStore a(std::make_shared<ParamTable>(config)), b(a.table);
  initialise(config, 7, &a);
  initialise(config, 7, &b);
  EXPECT_EQ(a.flat, b.flat);
  initialise(config, 8, &b);
  EXPECT_NE(a.tensor("tok_emb.weight")[0], b.tensor("tok_emb.weight")[0]);
  EXPECT_NE(a.tensor("blocks.0.attn.c_q.weight")[0], a.tensor("blocks.1.attn.c_q.weight")[0]);

  config.layers = 6;  // more tensors before tok_emb and other offsets, same values
  ParamStore deeper(std::make_shared<ParamTable>(config));
  initialise(config, 7, &deeper);
  for (const char* name : {"tok_emb.weight", "blocks.3.mlp.fc.weight"}) {
    const std::span<const float> x = a.tensor(name), y = deeper.tensor(name);
    EXPECT_TRUE(std::equal(x.begin(), x.end(), y.begin(), y.end())) << name;
  }
}

}  // namespace
}  // namespace sixteen
