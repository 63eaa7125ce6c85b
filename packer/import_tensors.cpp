// See import_tensors.h. Sources: serialize() and quantize_state_dict_int8() of the records' train_gpt.py.
#include "packer/import_tensors.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>

#include "formats/error.h"

namespace sixteen {
namespace {

using Kind = PickleValue::Kind;
using Entries = std::map<std::string, const PickleValue*>;

constexpr const char* kRoundedTables[] = {"tok_emb.weight", "bigram.embed.weight", "ve_shared.embed.weight", "loop_pass_emb.weight"};
constexpr const char* kPrefixes[] = {"module.", "_orig_mod."};  // DDP, torch.compile
constexpr int64_t kMaxLayers = 256;                             // of any model config: a bank of more is no model's
constexpr const char* kCleanFormat = "int8_clean_per_row_v1";   // #754's tag

// A bank [n, rows, cols] holds `first` of all layers, then `second` of all layers.
struct Bank {
  const char *name, *first, *second;
};
constexpr Bank kBanks[] = {{"qo_bank", "attn.c_q.weight", "attn.proj.weight"},
                           {"kv_bank", "attn.c_k.weight", "attn.c_v.weight"},
                           {"mlp_up_bank", "mlp.fc.weight", nullptr},
                           {"mlp_down_bank", "mlp.proj.weight", nullptr}};

std::string canonical(std::string name) {
  for (bool found = true; found;) {
    found = false;
    for (const std::string prefix : kPrefixes) {
      if (name.rfind(prefix, 0) != 0) continue;
      name.erase(0, prefix.size());
      found = true;
    }
  }
  return name;
}

class Reader {
 public:
  explicit Reader(const TorchFile& file) : file_(file), where_(file.where()) {}

  ImportedTensors read() {
    const Entries root = entries(file_.root(), "what the file holds");
    if (root.count("__quant_format__") != 0) {
      read_clean(root);
    } else if (root.size() == 2 && root.count("w") != 0 && root.count("m") != 0) {
      read_weights_and_meta(entries(*root.at("w"), "w"), entries(*root.at("m"), "m"));
    } else {
      result_.form = "state dict";
      for (const auto& [name, value] : root) add_plain(name, *value, false);
    }
    if (result_.tensors.empty()) fail(where_, ": holds no tensors");
    return std::move(result_);
  }

 private:
  Entries entries(const PickleValue& dict, const std::string& what) const;
  const PickleValue& at(const Entries& dict, const std::string& key, const std::string& what) const;
  void check_used(const Entries& dict, size_t used, const std::string& what) const;
  int bits_of(const PickleValue& meta, const std::string& name) const;
  bool is_bf16(const Entries& dtypes, const std::string& name) const;

  TorchTensor take(const PickleValue& value, const std::string& name);
  void add_plain(const std::string& name, const PickleValue& value, bool round);
  void add_codes(const std::string& name, const PickleValue& q, const PickleValue& scale, int bits, bool round);
  void add_bank(const Bank& bank, const PackedTensor& tensor);
  void read_weights_and_meta(const Entries& weights, const Entries& meta);
  void read_clean(const Entries& root);

  const TorchFile& file_;
  const std::string& where_;
  ImportedTensors result_;
  size_t bytes_ = 0;  // of all tensors; views of one storage could otherwise add up without end
};

Entries Reader::entries(const PickleValue& dict, const std::string& what) const {
  if (!dict.is(Kind::kDict)) fail(where_, ": ", what, ": expected a dict of tensors, found ", describe(dict));
  Entries result;
  for (size_t i = 0; i < dict.items.size(); i += 2) {
    const PickleValue& key = *dict.items[i];
    if (!key.is(Kind::kString)) fail(where_, ": ", what, ": expected strings as keys, found ", describe(key));
    if (!result.emplace(key.text, dict.items[i + 1]).second) fail(where_, ": ", what, ": key ", key.text, " is there twice");
  }
  return result;
}

const PickleValue& Reader::at(const Entries& dict, const std::string& key, const std::string& what) const {
  const auto it = dict.find(key);
  if (it == dict.end()) fail(where_, ": ", what, ": ", key, " is missing");
  return *it->second;
}

void Reader::check_used(const Entries& dict, size_t used, const std::string& what) const {
  if (used != dict.size()) fail(where_, ": ", what, ": ", dict.size(), " entries, but the others describe ", used);
}

bool is_table(const std::string& name) {
  return std::find(std::begin(kRoundedTables), std::end(kRoundedTables), name) != std::end(kRoundedTables);
}

TorchTensor Reader::take(const PickleValue& value, const std::string& name) {
  TorchTensor tensor = file_.tensor(value, name);
  bytes_ += static_cast<size_t>(tensor.numel()) * dtype_bytes(tensor.dtype);
  if (bytes_ > kMaxTorchFileBytes) fail(where_, ": tensors of more than ", kMaxTorchFileBytes, " bytes in all");
  return tensor;
}

// fp32 values as bf16, which is what loading makes of them.
Bytes rounded(const Bytes& floats) {
  Bytes result(floats.size() / 2);
  for (size_t i = 0; 2 * i < result.size(); ++i) {
    float value;
    std::memcpy(&value, floats.data() + i * sizeof value, sizeof value);
    const uint16_t bits = float_to_bf16(value);
    std::memcpy(result.data() + i * sizeof bits, &bits, sizeof bits);
  }
  return result;
}

void Reader::add_plain(const std::string& name, const PickleValue& value, bool round) {
  const TorchTensor source = take(value, name);
  if (source.dtype != DType::kF32 && source.dtype != DType::kF16 && source.dtype != DType::kBF16) {
    fail(where_, ": tensor ", name, ": expected F32, F16 or BF16, found ", dtype_name(source.dtype));
  }
  PackedTensor tensor{.name = canonical(name), .shape = source.shape, .codes = {}, .scales = {}, .plain_dtype = source.dtype,
                      .plain = source.contiguous(), .round_bf16 = round && source.dtype == DType::kF16};
  if (tensor.shape.empty()) tensor.shape = {1};
  if (round && source.dtype == DType::kF32) {
    tensor.plain = rounded(tensor.plain);
    tensor.plain_dtype = DType::kBF16;
  }
  for (const Bank& bank : kBanks) {
    if (tensor.name == bank.name) return add_bank(bank, tensor);
  }
  result_.tensors.push_back(std::move(tensor));
}

void Reader::add_bank(const Bank& bank, const PackedTensor& tensor) {
  const int64_t kinds = bank.second == nullptr ? 1 : 2;
  if (tensor.shape.size() != 3 || tensor.shape[0] % kinds != 0) {
    fail(where_, ": tensor ", bank.name, ": expected 3 dimensions", kinds == 2 ? ", the first even" : "", ", found ",
         tensor.shape.size(), tensor.shape.empty() ? "" : ", the first " + std::to_string(tensor.shape[0]));
  }
  const int64_t layers = tensor.shape[0] / kinds;
  if (layers > kMaxLayers) fail(where_, ": tensor ", bank.name, ": expected up to ", kMaxLayers, " layers, found ", layers);
  const size_t bytes = tensor.plain.size() / static_cast<size_t>(tensor.shape[0]);
  for (int64_t i = 0; i < tensor.shape[0]; ++i) {
    const std::byte* begin = tensor.plain.data() + static_cast<size_t>(i) * bytes;
    const std::string name = "blocks." + std::to_string(i % layers) + "." + (i < layers ? bank.first : bank.second);
    result_.tensors.push_back({.name = name, .shape = {tensor.shape[1], tensor.shape[2]}, .codes = {}, .scales = {},
                               .plain_dtype = tensor.plain_dtype, .plain = Bytes(begin, begin + bytes)});
  }
}

void Reader::add_codes(const std::string& name, const PickleValue& q, const PickleValue& scale, int bits, bool round) {
  const TorchTensor codes = take(q, name + " (codes)"), scales = take(scale, name + " (scales)");
  if (codes.dtype != DType::kI8 || codes.shape.empty()) {
    fail(where_, ": tensor ", name, ": expected codes in rows of I8, found ", codes.shape.size(), " dimensions of ", dtype_name(codes.dtype));
  }
  if (scales.dtype != DType::kF16 || scales.shape != std::vector<int64_t>{codes.shape[0]}) {
    fail(where_, ": tensor ", name, ": expected one F16 scale for each of ", codes.shape[0], " rows, found ", scales.numel(), " of ",
         dtype_name(scales.dtype));
  }
  PackedTensor tensor{.name = canonical(name), .shape = codes.shape, .bits = bits, .codes = {}, .scales = {}, .plain = {}, .round_bf16 = round};
  const Bytes code_bytes = codes.contiguous(), scale_bytes = scales.contiguous();
  tensor.codes.resize(code_bytes.size());
  std::memcpy(tensor.codes.data(), code_bytes.data(), code_bytes.size());
  tensor.scales.resize(scale_bytes.size() / sizeof(uint16_t));
  std::memcpy(tensor.scales.data(), scale_bytes.data(), scale_bytes.size());
  const int largest = (1 << (bits - 1)) - 1;
  for (size_t i = 0; i < tensor.codes.size(); ++i) {
    if (std::abs(int{tensor.codes[i]}) > largest) {
      fail(where_, ": tensor ", name, ": code ", i, ": expected -", largest, " to ", largest, ", found ", int{tensor.codes[i]});
    }
  }
  result_.tensors.push_back(std::move(tensor));
}

// 0: stored as it is. #1584 says "gptq (int6)", #726 {"type": "int6"}.
int Reader::bits_of(const PickleValue& meta, const std::string& name) const {
  const PickleValue* type = meta.find("type");
  const std::string text = meta.is(Kind::kString) ? meta.text : type != nullptr ? "gptq (" + type->text + ")" : "";
  if (text == "passthrough" || text == "passthrough (float16)" || text == "passthrough_ctrl") return 0;
  for (int bits = 2; bits <= 8; ++bits) {
    if (text == "gptq (int" + std::to_string(bits) + ")") return bits;
  }
  fail(where_, ": meta of ", name, ": expected passthrough or int2 to int8 codes, found ", describe(type != nullptr ? *type : meta));
}

void Reader::read_weights_and_meta(const Entries& weights, const Entries& meta) {
  result_.form = "codes and scales";
  result_.quantised = true;
  size_t used = 0;
  for (const auto& [name, value] : meta) {
    const int bits = bits_of(*value, name);
    const bool round = is_table(canonical(name));
    if (bits == 0) {
      add_plain(name, at(weights, name, "w"), round);
    } else {
      add_codes(name, at(weights, name + ".q", "w"), at(weights, name + ".scale", "w"), bits, round);
    }
    used += bits == 0 ? 1 : 2;
  }
  check_used(weights, used, "w");
}

// The dtype that loading gives a tensor; #754 notes it beside the values.
bool Reader::is_bf16(const Entries& dtypes, const std::string& name) const {
  const auto it = dtypes.find(name);
  if (it == dtypes.end()) return false;
  const std::string& dtype = it->second->text;
  if (dtype != "float32" && dtype != "bfloat16" && dtype != "float16") {
    fail(where_, ": dtype of ", name, ": expected float32, bfloat16 or float16, found ", describe(*it->second));
  }
  return dtype == "bfloat16";
}

void Reader::read_clean(const Entries& root) {
  result_.form = "codes and scales";
  result_.quantised = true;
  if (const PickleValue& tag = *root.at("__quant_format__"); !tag.is(Kind::kString) || tag.text != kCleanFormat) {
    fail(where_, ": __quant_format__: expected \"", kCleanFormat, "\", found ", describe(tag));
  }
  const auto part = [&](const std::string& key) { return entries(at(root, key, "the file"), key); };
  const Entries codes = part("quantized"), scales = part("scales"), dtypes = part("dtypes"), plain = part("passthrough");
  const Entries original = root.count("passthrough_orig_dtypes") != 0 ? part("passthrough_orig_dtypes") : Entries();
  const Entries meta = root.count("qmeta") != 0 ? part("qmeta") : Entries();
  for (const auto& [name, value] : codes) {
    if (const auto it = meta.find(name); it != meta.end()) {
      const PickleValue *scheme = it->second->find("scheme"), *axis = it->second->find("axis");
      if (scheme == nullptr || scheme->text != "per_row" || axis == nullptr || !axis->is(Kind::kInt) || axis->integer != 0) {
        fail(where_, ": qmeta of ", name, ": expected scheme per_row, axis 0");
      }
    }
    const int bits = 6;  // of all its codes
    at(dtypes, name, "dtypes");
    add_codes(name, *value, at(scales, name, "scales"), bits, is_table(canonical(name)) || is_bf16(dtypes, name));
  }
  check_used(scales, codes.size(), "scales");
  check_used(dtypes, codes.size(), "dtypes");
  for (const auto& [name, value] : plain) add_plain(name, *value, is_table(canonical(name)) || is_bf16(original, name));
}

}  // namespace

const PackedTensor* ImportedTensors::find(const std::string& name) const {
  const auto it = std::find_if(tensors.begin(), tensors.end(), [&](const PackedTensor& t) { return t.name == name; });
  return it == tensors.end() ? nullptr : &*it;
}

ImportedTensors read_torch_tensors(const TorchFile& file) { return Reader(file).read(); }

}  // namespace sixteen
