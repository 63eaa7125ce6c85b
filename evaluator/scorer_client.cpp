// See scorer_client.h.
#include "evaluator/scorer_client.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "formats/error.h"
#include "formats/json.h"

namespace sixteen {
namespace {

using Json = nlohmann::json;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr size_t kBytesOfNumber = 64, kBytesOfReply = 1 << 20;  // limits of what is read: generous, not endless
constexpr size_t kLargestVocab = 65536;

std::string shortened(const std::string& text) { return text.size() <= 60 ? text : text.substr(0, 60) + "..."; }

const Json& member(const Json& reply, const std::string& where, const char* key) {
  const auto found = reply.find(key);
  if (found == reply.end()) fail(where, ": the reply lacks \"", key, "\"; it is ", shortened(reply.dump()));
  return *found;
}

double number(const Json& value, const std::string& where) {
  if (!value.is_number()) fail(where, ": expected a number, found ", shortened(value.dump()));
  return value.get<double>();
}

int64_t count(const Json& value, const std::string& where) {
  if (!value.is_number_integer() || value.get<int64_t>() < 0) {
    fail(where, ": expected a count, found ", shortened(value.dump()));
  }
  return value.get<int64_t>();
}

// `null_value` stands for null entries.
std::vector<double> numbers(const Json& value, const std::string& where, double null_value) {
  if (!value.is_array()) fail(where, ": expected an array, found ", shortened(value.dump()));
  std::vector<double> all;
  all.reserve(value.size());
  for (const Json& entry : value) {
    if (!entry.is_null() && !entry.is_number()) fail(where, "[", all.size(), "]: expected a number, found ", shortened(entry.dump()));
    all.push_back(entry.is_null() ? null_value : entry.get<double>());
  }
  return all;
}

std::vector<ClockRecord> clock_records(const Json& reply) {
  std::vector<ClockRecord> records;
  const auto found = reply.find("clock");
  if (found == reply.end()) return records;
  if (!found->is_array()) fail("score: clock: expected an array, found ", shortened(found->dump()));
  for (const Json& entry : *found) {
    const std::string where = "score: clock[" + std::to_string(records.size()) + "]";
    if (!entry.is_object()) fail(where, ": expected an object, found ", shortened(entry.dump()));
    const Json& phase = member(entry, where, "phase");
    if (!phase.is_string()) fail(where, ": phase: expected a text, found ", shortened(phase.dump()));
    const double end = entry.contains("end") && !entry["end"].is_null() ? number(entry["end"], where + ": end") : kNaN;
    records.push_back({one_line(phase.get<std::string>()), number(member(entry, where, "begin"), where + ": begin"), end});
  }
  return records;
}

}  // namespace

Scorer::Scorer(const Options& options) : process_(options.command, options.timeout_s, options.trace_fd) {
  Json request{{"seed", options.seed}};
  if (!options.artifact.empty()) request["artifact"] = options.artifact;
  const std::optional<Json> reply = ask("load", request, 0);
  if (!reply) return;
  if (reply->contains("name") && (*reply)["name"].is_string()) hello_.name = one_line((*reply)["name"].get<std::string>());
  if (reply->contains("vocab")) hello_.vocab = count((*reply)["vocab"], "load: vocab");
  if (reply->contains("drop_tail")) hello_.drop_tail = count((*reply)["drop_tail"], "load: drop_tail");
  if (reply->contains("min_tokens")) hello_.min_tokens = count((*reply)["min_tokens"], "load: min_tokens");
  if (reply->contains("knows_length")) hello_.knows_length = (*reply)["knows_length"] == true;
  if (reply->contains("isolation")) {
    if ((*reply)["isolation"] != "document") fail("load: isolation: expected \"document\", found ", shortened((*reply)["isolation"].dump()));
    hello_.document_isolation = true;
  }
}

// The reply's object; nothing when the program does not have the hook. `numbers`: how many its arrays may hold.
std::optional<Json> Scorer::ask(const char* op, Json request, size_t numbers) {
  if (missing_.count(op) > 0) return std::nullopt;
  request["op"] = op;
  request["id"] = ++id_;
  const std::string line = process_.ask(request.dump(), kBytesOfReply + kBytesOfNumber * numbers, op);
  const Json reply = parse_json_object(line, std::string("scorer: reply to ") + op + " '" + shortened(line) + "'");
  const Json& id = member(reply, op, "id");
  if (id != id_) fail("scorer: ", op, ": expected the reply to request ", id_, ", found id ", shortened(id.dump()));
  if (reply.contains("error")) fail("scorer: ", op, ": it reports ", shortened(reply["error"].dump()));
  if (!reply.contains("unsupported")) return reply;
  if (std::string(op) == "score") fail("scorer: score is the one hook that it must have");
  missing_.insert(op);
  return std::nullopt;
}

ScorerScore Scorer::score(std::span<const uint16_t> tokens) {
  reset();
  const Json reply = *ask("score", {{"tokens", std::vector<uint16_t>(tokens.begin(), tokens.end())}}, 2 * tokens.size());
  ++runs_;
  ScorerScore result{numbers(member(reply, "score", "nll"), "score: nll", kNaN),
                     number(member(reply, "score", "total"), "score: total"),
                     count(member(reply, "score", "targets"), "score: targets"),
                     count(member(reply, "score", "bytes"), "score: bytes"),
                     number(member(reply, "score", "bpb"), "score: bpb"),
                     clock_records(reply)};
  for (size_t i = 0; i < result.nll.size(); ++i) {
    if (std::isinf(result.nll[i])) fail("score: nll[", i, "] is infinite");
  }
  return result;
}

std::optional<std::vector<double>> Scorer::log_probabilities(const char* op, Json request) {
  const std::optional<Json> reply = ask(op, std::move(request), kLargestVocab);
  if (!reply) return std::nullopt;
  return numbers(member(*reply, op, "logp"), std::string(op) + ": logp", -kInfinity);
}

std::optional<std::vector<double>> Scorer::dist(std::span<const uint16_t> tokens, int64_t at) {
  return log_probabilities("dist", {{"tokens", std::vector<uint16_t>(tokens.begin(), tokens.end())}, {"at", at}});
}

std::optional<std::vector<double>> Scorer::feed(uint16_t token) { return log_probabilities("feed", {{"token", token}}); }

std::optional<std::vector<int64_t>> Scorer::order() {
  const std::optional<Json> reply = ask("order", Json::object(), 2 * kLargestVocab);
  if (!reply) return std::nullopt;
  std::vector<int64_t> targets;
  const Json& list = member(*reply, "order", "order");
  if (!list.is_array()) fail("order: expected an array, found ", shortened(list.dump()));
  for (const Json& entry : list) targets.push_back(count(entry, "order: order"));
  return targets;
}

bool Scorer::reset() { return ask("reset", Json::object(), 0).has_value(); }

}  // namespace sixteen
