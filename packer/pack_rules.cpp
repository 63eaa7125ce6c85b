// See pack_rules.h.
#include "packer/pack_rules.h"

#include <algorithm>
#include <sstream>

#include "formats/check.h"
#include "formats/error.h"
#include "packer/gptq.h"

namespace sixteen {
namespace {

constexpr std::string_view kQuantisers[] = {"gptq", "nearest", "tcq", "clip_matrix", "clip_row",
                                            "row_quantile"};               // enum order
constexpr std::string_view kClasses[] = {"matrix", "embedding", "small"};  // enum order
constexpr struct {
  std::string_view name;
  DType dtype;
} kPlainModes[] = {{"fp16", DType::kF16}, {"fp32", DType::kF32}, {"bf16", DType::kBF16}};

bool searches_clips(const PackRule& rule) { return rule.bits > 0 && searches_clips(rule.quantiser); }

bool name_has(std::string_view name, const std::vector<std::string>& parts) {
  return std::any_of(parts.begin(), parts.end(), [&](const std::string& part) { return name.find(part) != name.npos; });
}

bool fits(const PackRule& rule, const ParamSpec& spec, const ModelConfig& model) {
  return (rule.match.empty() || name_has(spec.name, rule.match)) &&
         (rule.tensor_class.empty() || rule.tensor_class == kClasses[static_cast<size_t>(spec.quant)]) &&
         spec.shape.numel() <= rule.max_numel && tensor_visits(model, spec.name) >= rule.min_visits;
}

bool fits_all(const PackRule& rule) {
  return rule.match.empty() && rule.tensor_class.empty() && rule.max_numel == PackRule().max_numel &&
         rule.min_visits <= 1;
}

template <class Range>
std::string listed(const Range& range, const char* separator) {
  std::ostringstream text;
  const char* next = "";
  for (const auto& element : range) {
    text << next << element;
    next = separator;
  }
  return text.str();
}

void parse_mode(const std::string& mode, const std::string& at, PackRule* rule) {
  if (mode.size() == 4 && mode.starts_with("int") && mode[3] >= '2' && mode[3] <= '8') {
    rule->bits = mode[3] - '0';
    return;
  }
  for (const auto& plain : kPlainModes) {
    rule->plain_dtype = plain.dtype;
    if (plain.name == mode) return;
  }
  fail(at, "mode: expected fp16, fp32, bf16 or int2 to int8, found \"", mode, "\"");
}

void parse_quantiser(const std::string& name, const std::string& at, PackRule* rule) {
  const auto found = std::find(std::begin(kQuantisers), std::end(kQuantisers), name);
  if (found == std::end(kQuantisers)) {
    fail(at, "quantiser: expected one of ", listed(kQuantisers, ", "), ", found \"", name, "\"");
  }
  rule->quantiser = static_cast<Quantiser>(found - std::begin(kQuantisers));
}

// Keys that the mode and the quantiser do not look at would be silent mistakes.
void refuse_idle_keys(Section* section, const PackRule& rule, const std::string& at) {
  const std::string mode = mode_name(rule);
  const auto refuse = [&](const char* key, bool idle, const std::string& user) {
    if (idle && section->has(key)) fail(at, key, ": means nothing with ", user, "; leave it out");
  };
  if (rule.bits == 0) {
    for (const char* key : {"quantiser", "clip_sigmas", "scale_bits", "percentiles", "min_clip", "damping", "block", "column_steps"})
      refuse(key, true, "mode " + mode);
    return;
  }
  const std::string quantiser(quantiser_name(rule.quantiser));
  refuse("clip_sigmas", searches_clips(rule), "quantiser " + quantiser);
  refuse("scale_bits", searches_clips(rule), "quantiser " + quantiser);
  refuse("percentiles", !searches_clips(rule), "quantiser " + quantiser);
  refuse("min_clip", !searches_clips(rule), "quantiser " + quantiser);
  refuse("damping", !takes_hessian(rule.quantiser), "quantiser " + quantiser);
  refuse("column_steps", !takes_hessian(rule.quantiser), "quantiser " + quantiser);
  refuse("block", !takes_hessian(rule.quantiser), "quantiser " + quantiser);
}

void validate_rule(const PackRule& rule, const std::string& at) {
  if (!rule.tensor_class.empty() &&
      std::find(std::begin(kClasses), std::end(kClasses), rule.tensor_class) == std::end(kClasses)) {
    fail(at, "class: expected ", listed(kClasses, ", "), ", found \"", rule.tensor_class, "\"");
  }
  for (const std::string& part : rule.match) {
    if (part.empty()) fail(at, "match: expected parts of names, found an empty one");
  }
  if (rule.max_numel < 1) fail(at, "max_numel: expected 1 or more, found ", rule.max_numel);
  if (rule.min_visits < 0) fail(at, "min_visits: expected 1 or more, found ", rule.min_visits);
  if (!(rule.damping > 0)) fail(at, "damping: expected more than 0, found ", rule.damping);
  if (rule.block < 1 || rule.block > kLargestBlock) {
    fail(at, "block: expected 1 to ", kLargestBlock, ", found ", rule.block);
  }
  if (!(rule.clip_sigmas > 0)) fail(at, "clip_sigmas: expected more than 0, found ", rule.clip_sigmas);
  if (rule.scale_bits < 1 || rule.scale_bits > 10) fail(at, "scale_bits: expected 1 to 10, found ", rule.scale_bits);
  for (const double q : rule.percentiles) {
    if (!(q > 0 && q <= 1)) fail(at, "percentiles: expected each above 0 and at most 1, found ", q);
  }
  if (rule.quantiser == Quantiser::kRowQuantile && rule.percentiles.size() > 1) {
    fail(at, "percentiles: expected one with quantiser row_quantile, found ", rule.percentiles.size(),
         "; clip_row chooses among many");
  }
  if (!(rule.min_clip >= 0)) fail(at, "min_clip: expected 0 (no floor) or more, found ", rule.min_clip);
  if (rule.round_bf16 && rule.bits == 0 && rule.plain_dtype != DType::kF16) {
    fail(at, "round_bf16: expected an int mode or fp16, found ", mode_name(rule));
  }
}

PackRule read_rule(Section section, const PackRule& base, const std::string& at) {
  PackRule rule{.damping = base.damping, .block = base.block};
  std::string mode, quantiser(kQuantisers[0]);
  section.read("match", &rule.match);
  section.read("class", &rule.tensor_class);
  section.read("max_numel", &rule.max_numel);
  section.read("min_visits", &rule.min_visits);
  section.read("mode", &mode);
  section.read("quantiser", &quantiser);
  section.read("clip_sigmas", &rule.clip_sigmas);
  section.read("scale_bits", &rule.scale_bits);
  section.read("damping", &rule.damping);
  section.read("block", &rule.block);
  section.read("percentiles", &rule.percentiles);
  section.read("min_clip", &rule.min_clip);
  section.read("column_steps", &rule.column_steps);
  section.read("round_bf16", &rule.round_bf16);
  section.finish();
  parse_mode(mode, at, &rule);
  parse_quantiser(quantiser, at, &rule);
  refuse_idle_keys(&section, rule, at);
  if (section.has("percentiles") && rule.percentiles.empty())
    fail(at, "percentiles: expected at least one, found none");
  if (section.has("match") && rule.match.empty())
    fail(at, "match: expected at least one part of a name, found none; leave it out to mean any");
  validate_rule(rule, at);
  return rule;
}

}  // namespace

std::string_view quantiser_name(Quantiser quantiser) {
  CHECK(static_cast<size_t>(quantiser) < std::size(kQuantisers));
  return kQuantisers[static_cast<size_t>(quantiser)];
}

std::string mode_name(const PackRule& rule) {
  if (rule.bits > 0) return "int" + std::to_string(rule.bits);
  for (const auto& plain : kPlainModes) {
    if (plain.dtype == rule.plain_dtype) return std::string(plain.name);
  }
  CHECK(false);
}

std::string describe(const PackRule& rule) {
  std::vector<std::string> conditions;
  if (!rule.match.empty()) conditions.push_back("name has " + listed(rule.match, " or "));
  if (!rule.tensor_class.empty()) conditions.push_back("class " + rule.tensor_class);
  if (rule.max_numel != PackRule().max_numel)
    conditions.push_back("at most " + std::to_string(rule.max_numel) + " elements");
  if (rule.min_visits > 1) conditions.push_back("at least " + std::to_string(rule.min_visits) + " visits");
  std::ostringstream text;
  text << (conditions.empty() ? "all" : listed(conditions, ", ")) << ": " << mode_name(rule);
  if (rule.bits > 0) text << ", " << quantiser_name(rule.quantiser);
  if (rule.bits > 0 && !searches_clips(rule)) text << ", clip_sigmas " << rule.clip_sigmas;
  if (rule.bits > 0 && !searches_clips(rule) && rule.scale_bits != PackRule().scale_bits) text << ", scale_bits " << rule.scale_bits;
  if (rule.bits > 0 && takes_hessian(rule.quantiser)) {
    if (rule.damping != PackRule().damping) text << ", damping " << rule.damping;
    if (rule.block != PackRule().block) text << ", block " << rule.block;
    if (rule.column_steps) text << ", column steps";
  }
  if (searches_clips(rule) && !rule.percentiles.empty()) text << ", percentiles " << listed(rule.percentiles, " ");
  if (searches_clips(rule) && rule.min_clip != PackRule().min_clip) text << ", min_clip " << rule.min_clip;
  if (rule.round_bf16) text << ", rounded to bf16";
  return text.str();
}

std::vector<PackRule> read_pack_rules(Section* pack, const PackRule& base, const std::string& where) {
  std::vector<PackRule> rules;
  for (Section& section : pack->tables("rules")) {
    const std::string number = std::to_string(rules.size() + 1);
    if (!rules.empty() && fits_all(rules.back())) {
      fail(where, ": pack.rules#", number,
           ": never reached, since the rule before it has no condition and takes every tensor");
    }
    rules.push_back(read_rule(section, base, where + ": pack.rules#" + number + "."));
  }
  return rules;
}

int64_t tensor_visits(const ModelConfig& model, const std::string& name) {
  constexpr std::string_view kBlocks = "blocks.";
  if (!name.starts_with(kBlocks)) return 1;
  const int64_t layer = std::stoll(name.substr(kBlocks.size()));
  const LayerOrder order = layer_order(model, true);
  return std::ranges::count(order.encoder, layer) + std::ranges::count(order.decoder, layer);
}

std::vector<size_t> assign_rules(const std::vector<PackRule>& rules, const ModelConfig& model, const ParamTable& table,
                                 const std::string& where) {
  const std::vector<ParamSpec>& specs = table.specs();
  for (size_t i = 0; i < rules.size(); ++i) {
    if (std::ranges::none_of(specs,
                             [&](const ParamSpec& s) { return tensor_visits(model, s.name) >= rules[i].min_visits; })) {
      fail(where, ": pack.rules#", i + 1, ".min_visits: no layer of this model is visited ", rules[i].min_visits,
           " times");
    }
    for (const std::string& part : rules[i].match) {
      if (std::any_of(specs.begin(), specs.end(), [&](const ParamSpec& spec) { return name_has(spec.name, {part}); }))
        continue;
      fail(where, ": pack.rules#", i + 1, ".match: \"", part,
           "\": no tensor of this model has that in its name (the first is ", specs.front().name, ")");
    }
  }
  std::vector<size_t> assigned;
  for (const ParamSpec& spec : specs) {
    const auto rule = std::find_if(rules.begin(), rules.end(), [&](const PackRule& r) { return fits(r, spec, model); });
    if (rule == rules.end()) {
      fail(where, ": pack.rules: none fits tensor ", spec.name, " ", spec.shape.string(),
           "; end with a rule without conditions");
    }
    const size_t index = static_cast<size_t>(rule - rules.begin());
    if (rule->bits > 0 && spec.shape.rank() != 2) {
      fail(where, ": pack.rules#", index + 1, ".mode: ", mode_name(*rule), " is for matrices, found tensor ", spec.name,
           " ", spec.shape.string(), "; store it as fp16 by an earlier rule");
    }
    assigned.push_back(index);
  }
  return assigned;
}

}  // namespace sixteen
