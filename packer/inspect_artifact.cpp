// See inspect_artifact.h.
#include "packer/inspect_artifact.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <sstream>

#include "formats/jobs.h"
#include "model/corrections.h"
#include "packer/code_estimate.h"
#include "packer/import_tensors.h"
#include "packer/pack.h"

namespace sixteen {
namespace {

using Json = nlohmann::ordered_json;

// NUMBER:QUANTISER of every tensor, as pack.h describes it; empty when the artifact does not say, or says it of other tensors.
std::vector<std::string> quantisers_of(const Artifact& artifact) {
  const auto found = artifact.metadata.find(kQuantisersKey);
  if (found == artifact.metadata.end()) return {};
  std::istringstream text(found->second);
  std::vector<std::string> result{std::istream_iterator<std::string>(text), {}};
  const auto corrections = std::ranges::count_if(artifact.tensors, is_correction, &PackedTensor::name);
  if (result.size() + static_cast<size_t>(corrections) != artifact.tensors.size()) return {};
  result.resize(artifact.tensors.size());  // corrections (model/corrections.h) come last and have no rule
  return result;
}

std::string kind_of(const PackedTensor& t) {
  std::string kind = t.bits > 0 ? "int" + std::to_string(t.bits) : std::string(dtype_name(t.plain_dtype));
  if (t.trellis) kind += ":T";
  return t.round_bf16 ? kind + ":BF16" : kind;
}

// The metadata, rules as a numbered list; who made which tensor stands beside the tensors.
void say_metadata(const Artifact& artifact, const Console& console) {
  for (const auto& [key, value] : artifact.metadata) {
    if (key == kQuantisersKey) continue;
    if (key != kRulesKey) console.say(key, ": ", value);
    if (key != kRulesKey) continue;
    std::istringstream lines(value);
    int number = 0;
    for (std::string line; std::getline(lines, line);) console.say("rule ", ++number, ": ", line);
  }
}

TensorCost cost_of(const PackedTensor& t) {
  TensorCost cost;
  cost.name = t.name;
  cost.shape = shape_string(t.shape);
  cost.dims = t.shape;
  cost.kind = kind_of(t);
  cost.raw_bytes = t.codes.size() + t.scales.size() * sizeof(uint16_t) + t.plain.size();
  cost.weights = static_cast<double>(t.numel());
  cost.entropy_bytes = order0_bytes(t.plain) + order0_bytes(t.codes, std::max<int64_t>(t.numel() / t.rows(), 1), t.trellis) +
                       static_cast<double>(t.scales.size() * sizeof(uint16_t));
  if (t.bits == 0) return cost;
  const CodeEstimate estimate = estimate_codes(t.codes, t.numel() / t.rows(), t.trellis);
  cost.order0_bytes = estimate.order0;
  cost.conditional_bytes = estimate.best_conditional();
  cost.conditional = estimate.best_name();
  return cost;
}

// artifact.streams must be there: as read or as written.
FileCosts costs_of(const Artifact& artifact) {
  FileCosts costs;
  costs.tensors.resize(artifact.tensors.size());
  run_jobs(costs.tensors.size(), 0, [&](size_t i) { costs.tensors[i] = cost_of(artifact.tensors[i]); });
  uint64_t streams = 0;
  for (const StreamInfo& stream : artifact.streams) {
    streams += stream.coded_bytes;
    if (stream.tensor >= 0) costs.tensors[static_cast<size_t>(stream.tensor)].coded_bytes = stream.coded_bytes;
    if (stream.tensor < 0) costs.parts.push_back({stream.name, stream.coded_bytes});
  }
  costs.parts.push_back({"header, index and hash", artifact.file_bytes - streams});
  return costs;
}

void say_tensor(const TensorCost& t, const std::string& quantiser, const Console& console) {
  if (t.conditional.empty()) {
    return console.say(format("%-36s %12s %9s %10llu", t.name.c_str(), t.shape.c_str(), t.kind.c_str(), static_cast<unsigned long long>(t.raw_bytes)),
                       quantiser.empty() ? "" : "  " + quantiser);
  }
  const double coded = static_cast<double>(t.coded_bytes);
  console.say(format("%-36s %12s %9s %10llu %9.0f %6.3f %9.0f %+6.2f%% %9.0f %+6.2f%% %-10s", t.name.c_str(), t.shape.c_str(), t.kind.c_str(),
                     static_cast<unsigned long long>(t.raw_bytes), coded, 8 * coded / t.weights, t.order0_bytes,
                     100 * (coded / std::max(t.order0_bytes, 1.0) - 1), t.conditional_bytes, 100 * (coded / std::max(t.conditional_bytes, 1.0) - 1),
                     t.conditional.c_str()),
              quantiser.empty() ? "" : "  " + quantiser);
}

// Prints the table with its sums; the same as JSON.
Json say_costs(const FileCosts& costs, const std::vector<std::string>& quantisers, const Console& console) {
  console.say(format("%-36s %12s %9s %10s %9s %6s %9s %7s %9s %7s %-10s", "tensor", "shape", "stored", "raw bytes", "coded", "bits/w", "order 0", "to it",
                     "condit.", "to it", "which"),
              quantisers.empty() ? "" : "  rule:quantiser");
  Json tensors = Json::array();
  TensorCost sum;
  sum.name = "all codes";
  for (size_t i = 0; i < costs.tensors.size(); ++i) {
    const TensorCost& t = costs.tensors[i];
    say_tensor(t, quantisers.empty() ? "" : quantisers[i], console);
    tensors.push_back({{"name", t.name}, {"shape", t.dims}, {"bits", t.kind}, {"raw_bytes", t.raw_bytes}, {"entropy_bytes", t.entropy_bytes}});
    if (!quantisers.empty()) {
      const size_t colon = std::min(quantisers[i].find(':'), quantisers[i].size());
      tensors.back()["rule"] = quantisers[i].substr(0, colon);
      tensors.back()["quantiser"] = quantisers[i].substr(std::min(colon + 1, quantisers[i].size()));
    }
    if (t.conditional.empty()) continue;
    tensors.back()["coded_bytes"] = t.coded_bytes;
    tensors.back()["bits_per_weight"] = 8 * static_cast<double>(t.coded_bytes) / t.weights;
    tensors.back()["order0_bytes"] = t.order0_bytes;
    tensors.back()["conditional_bytes"] = t.conditional_bytes;
    tensors.back()["conditional"] = t.conditional;
    sum.conditional = "best";
    sum.raw_bytes += static_cast<uint64_t>(t.weights);
    sum.weights += t.weights;
    sum.coded_bytes += t.coded_bytes;
    sum.order0_bytes += t.order0_bytes;
    sum.conditional_bytes += t.conditional_bytes;
  }
  if (sum.weights > 0) say_tensor(sum, "", console);
  return tensors;
}

Json say_streams(const Artifact& artifact, const Console& console) {
  Json json = Json::array();
  console.say(format("%-10s %-36s %8s %6s %8s %12s %12s %7s", "stream", "of", "codec", "level", "shuffle", "raw bytes", "coded bytes", "share"));
  for (const StreamInfo& s : artifact.streams) {
    const std::string codec(codec_name(s.options.codec));
    const std::string of = s.tensor < 0 ? "all" : artifact.tensors[static_cast<size_t>(s.tensor)].name;
    console.say(format("%-10s %-36s %8s %6d %8d %12llu %12llu %6.2f%%", s.name.c_str(), of.c_str(), codec.c_str(), s.options.level, s.options.shuffle_stride,
                       static_cast<unsigned long long>(s.raw_bytes), static_cast<unsigned long long>(s.coded_bytes),
                       100.0 * static_cast<double>(s.coded_bytes) / static_cast<double>(artifact.file_bytes)));
    json.push_back({{"name", s.name},
                    {"of", of},
                    {"codec", codec},
                    {"level", s.options.level},
                    {"shuffle_stride", s.options.shuffle_stride},
                    {"offset", s.offset},
                    {"raw_bytes", s.raw_bytes},
                    {"coded_bytes", s.coded_bytes}});
  }
  return json;
}

void report(FileCosts costs, const std::string& path, const InspectOptions& options, const Console& console) {
  if (options.report.empty()) return;
  costs.title = "sixteen-pack inspect " + path;
  costs.code_bytes = options.code_bytes;
  write_inspect_report(options.report, costs);
  console.say("wrote ", options.report);
}

}  // namespace

Json inspect_artifact(const std::string& path, const InspectOptions& options, const Console& console) {
  const Artifact artifact = read_artifact(path);
  Json json{{"kind", "artifact"}, {"bytes", artifact.file_bytes}, {"content_sha256", to_hex(artifact.digest)}};
  json["config"] = Json::parse(artifact.config_json);
  json["metadata"] = artifact.metadata;
  console.say(path, ": artifact, ", artifact.file_bytes, " bytes, content SHA-256 stored in the file ", to_hex(artifact.digest));
  console.say("config ", artifact.config_json);
  say_metadata(artifact, console);
  FileCosts costs = costs_of(artifact);
  json["tensors"] = say_costs(costs, quantisers_of(artifact), console);
  json["streams"] = say_streams(artifact, console);
  console.say(costs.parts.back().name, " ", costs.parts.back().bytes, " bytes");
  costs.facts = {{"artifact", std::to_string(artifact.file_bytes) + " bytes"}, {"content SHA-256", to_hex(artifact.digest)}};
  report(std::move(costs), path, options, console);
  return json;
}

Json inspect_foreign(const TorchFile& file, uint64_t container_bytes, const InspectOptions& options, const Console& console) {
  ImportedTensors source = read_torch_tensors(file);
  Artifact artifact;
  artifact.config_json = "{}";
  artifact.tensors = std::move(source.tensors);
  std::sort(artifact.tensors.begin(), artifact.tensors.end(), [](const PackedTensor& a, const PackedTensor& b) { return a.name < b.name; });
  console.say(file.where(), ": PyTorch file, ", source.form, ", ", container_bytes, " bytes; as .s16 ...");
  serialise_artifact(&artifact, {}, {});
  FileCosts costs = costs_of(artifact);
  Json json{{"kind", "foreign"}, {"form", source.form}, {"as_s16_bytes", artifact.file_bytes}};
  json["tensors"] = say_costs(costs, {}, console);
  json["streams"] = say_streams(artifact, console);
  console.say("as .s16 without its config ", artifact.file_bytes, " bytes, the container ", container_bytes);
  costs.facts = {{"container", std::to_string(container_bytes) + " bytes"}, {"as .s16, shown below", std::to_string(artifact.file_bytes) + " bytes"}};
  report(std::move(costs), file.where(), options, console);
  return json;
}

}  // namespace sixteen
