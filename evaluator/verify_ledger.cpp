// The structure of a ledger: its files against what it says of them, then its records one by one (verify_records.h).
// Bites: a damaged file is a fault with its name, not an error of this program, as far as anything can still be said.
#include <unistd.h>

#include <cstring>

#include "evaluator/method_json.h"
#include "evaluator/verify.h"
#include "evaluator/verify_records.h"
#include "formats/error.h"
#include "formats/safetensors.h"
#include "formats/shard.h"
#include "graph/executor.h"

namespace sixteen {
namespace {

using Json = nlohmann::json;

std::string digest_of(Device& device, std::span<const std::byte> bytes) {
  return to_hex(tree_root(bytes.size(), device.leaf_digests(bytes.data(), bytes.size())));
}

// What the state must be before the first score: the artifact's weights, and zeros.
Json start_digests(const LedgerCase& c, Device& device) {
  const auto weights = std::as_bytes(std::span(c.model.store.flat));
  Json digests{{"weights", digest_of(device, weights)}};
  if (c.method.scoring == Scoring::kTraining) {
    digests["momentum"] = digest_of(device, std::vector<std::byte>(weights.size()));
    if (c.method.hash) {
      const std::vector<std::byte> table(static_cast<size_t>(c.method.config.hash.buckets * c.model.config.dim) * sizeof(float));
      digests["hash"] = digests["hash_momentum"] = digest_of(device, table);
    }
  }
  if (c.method.config.tap_in.enabled) digests["cache"] = to_hex(sha256({}));
  return digests;
}

// The files must be those that the first record names.
bool check_files(const VerifyOptions& o, const Json& open, int32_t bos, Verdict* verdict) {
  const ScoredFiles files = scored_files(o.artifact, o.data, o.tokenizer, bos);
  bool same = true;
  const auto compare = [&](const Json& expected, const Json& found, const std::string& path) {
    if (expected == found) return;
    same = false;
    verdict->fault(Condition::kIntegrity, "files", path + ": is not the scored file: expected " + expected.dump() + ", found " + found.dump());
  };
  compare(open.at("artifact"), files.artifact, o.artifact);
  compare(open.at("tokenizer"), files.tokenizer, o.tokenizer);
  const Json& shards = open.at("data");
  for (size_t i = 0; i < std::max(shards.size(), files.data.size()); ++i) {
    const Json expected = i < shards.size() ? shards[i] : Json(), found = i < files.data.size() ? files.data[i] : Json();
    compare(expected, found, o.data + ": shard " + (found.is_null() ? expected : found).value("name", std::string("?")));
  }
  return same;
}

void check_states(const LedgerCase& c, Device& device, Verdict* verdict) {
  int64_t states = 0;
  const bool complete = c.ledger.records.back().kind == "final";
  for (const LedgerRecord& record : c.ledger.records) {
    if (record.kind != "state" || !record.body.contains("snapshot")) continue;
    const std::string path = c.folder + "/" + record.body.at("snapshot").get<std::string>();
    if (!complete && access(path.c_str(), F_OK) != 0) continue;  // the run was killed while it wrote the file
    try {
      const SafetensorsFile file(path);
      for (const TensorView& tensor : file.tensors()) {
        if (record.body.at("digests").value(tensor.name, "") == digest_of(device, tensor.bytes)) continue;
        verdict->fault(Condition::kIntegrity, "state files", path + ": tensor " + tensor.name + " is not what its record says");
      }
    } catch (const Error& error) {
      verdict->fault(Condition::kIntegrity, "state files", error.what());
    }
    ++states;
  }
  if (states > 0 && !verdict->violated(Condition::kIntegrity)) {
    verdict->pass(Condition::kIntegrity, "state files", std::to_string(states) + " files have their digests");
  }
}

std::vector<float> read_losses(const std::string& path, Verdict* verdict) {
  const MappedFile file(path);
  std::vector<float> nll(file.bytes().size() / sizeof(float));
  if (!nll.empty()) std::memcpy(nll.data(), file.bytes().data(), nll.size() * sizeof(float));
  if (file.bytes().size() % sizeof(float) != 0) {
    verdict->fault(Condition::kIntegrity, "losses", path + ": " + std::to_string(file.bytes().size()) + " bytes are no whole number of float32");
  }
  return nll;
}

}  // namespace

std::unique_ptr<LedgerCase> check_ledger(const VerifyOptions& o, Verdict* verdict) {
  const std::string path = ledger_path(o.ledger);
  Ledger ledger = read_ledger(path);
  if (!ledger.fault.empty()) verdict->fault(Condition::kIntegrity, "chain", path + ": " + ledger.fault);
  if (ledger.records.empty() || ledger.records[0].kind != "open") {
    verdict->fault(Condition::kIntegrity, "chain", path + ": expected a first record of kind \"open\"");
    return nullptr;
  }
  verdict->fact("ledger head", ledger.head);
  const Json open = ledger.records[0].body;
  const Tokenizer tokenizer(o.tokenizer);
  try {
    if (!check_files(o, open, tokenizer.bos_id(), verdict)) return nullptr;
    Model model = load_model(o.artifact);
    ByteTables tables = tokenizer.byte_tables(model.config.vocab);
    ScoreMethod method = method_from_json(open.at("method"), path);
    validate(&method.config, model.config, method.scoring, path);
    auto c = std::make_unique<LedgerCase>(LedgerCase{.folder = o.ledger, .ledger = std::move(ledger), .model = std::move(model), .bos = tokenizer.bos_id(),
                                                     .tables = std::move(tables), .tokens = {}, .nll = read_losses(nll_path(o.ledger), verdict),
                                                     .method = method, .chunks = {}});
    c->tokens = read_shards(o.data, c->model.config.vocab);
    if (open.at("tokens") != c->tokens.size() || open.at("order") != "stream" || open.at("leaf_bytes") != kLeafBytes) {
      verdict->fault(Condition::kIntegrity, "files", path + ": tokens, order or leaf_bytes are not what they must be");
    }
    verdict->fact("method", open.at("method").dump());
    verdict->fact("device", open.at("device"));
    verdict->fact("artifact", open.at("artifact").dump());
    const auto device = make_device("cpu", o.threads);
    if (!RecordWalk(o, c.get(), verdict).walk(start_digests(*c, *device))) return nullptr;
    check_states(*c, *device, verdict);
    return c;
  } catch (const Json::exception& error) {
    verdict->fault(Condition::kIntegrity, "records", path + ": the first record does not say what it must: " + error.what());
    return nullptr;
  }
}

}  // namespace sixteen
