// sixteen-eval compress: shards as the code that their own score gives them. Options and files; the coding is proof.cpp.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <numbers>

#include "evaluator/commands.h"
#include "evaluator/method_flags.h"
#include "evaluator/proof.h"
#include "evaluator/scoring.h"
#include "formats/error.h"
#include "formats/file.h"
#include "formats/shard.h"
#include "model/checkpoint.h"
#include "model/console.h"
#include "model/number_checks.h"

namespace sixteen {
namespace {

struct CompressCommand {
  std::string artifact, data, tokenizer, ledger, out, arith = "portable", device = "cpu";
  MethodFlags method;
  int64_t sample = 0;
  uint64_t seed = 1;
  int threads = 0;
  Console console;
};

std::vector<uint16_t> read_text(const std::string& pattern, int64_t vocab, std::vector<ProofShard>* shards) {
  std::vector<uint16_t> all;
  for (const std::string& path : glob_files(pattern)) {
    const TokenShard shard(path);
    shard.check_vocab(vocab);
    std::string name = std::filesystem::path(path).filename();
    if (name.ends_with(".bin")) name.resize(name.size() - 4);
    const auto same = [&](const ProofShard& other) { return other.name == name; };
    if (std::any_of(shards->begin(), shards->end(), same)) {
      fail(pattern, ": two shards named ", name, ": a proof keeps names without their folders; compress them one by one");
    }
    shards->push_back({name, static_cast<int64_t>(shard.tokens().size())});
    all.insert(all.end(), shard.tokens().begin(), shard.tokens().end());
  }
  if (all.size() < 2) fail(pattern, ": ", all.size(), " tokens: nothing to predict");
  if (static_cast<int64_t>(all.size()) > kMaxProofTokens || shards->size() > kMaxProofShards) {
    fail(pattern, ": ", all.size(), " tokens in ", shards->size(), " shards, but a file holds ", kMaxProofTokens, " in ", kMaxProofShards);
  }
  return all;
}

void report(const CompressCommand& o, const ProofMethod& method, const ProofFile& proof, const ProofOutcome& r, size_t file_bytes,
            const std::string& note, const std::string& device) {
  const double score_bytes = r.nats / std::numbers::ln2 / 8, file = static_cast<double>(file_bytes);
  nlohmann::json json{{"file_bytes", file_bytes},
                      {"header_bytes", file_bytes - proof.code.size()},
                      {"code_bytes", proof.code.size()},
                      {"score_bytes", score_bytes},
                      {"excess_bytes", file - score_bytes},
                      {"targets", r.targets},
                      {"loss", r.nats / static_cast<double>(r.targets)},
                      {"chunks", r.chunks},
                      {"coded_chunks", r.coded_chunks},
                      {"method", method_text(method.score)},
                      {"arith", o.arith},
                      {"seconds", r.seconds}};
  o.console.say(o.out, ": ", file_bytes, " bytes for ", r.targets, " targets; ", method_text(method.score));
  if (!note.empty()) o.console.say(note);
  if (r.coded_chunks < r.chunks) o.console.say("a sample: ", r.coded_chunks, " of ", r.chunks, " chunks");
  o.console.say("the score says ", score_bytes, " bytes; the file has ", file - score_bytes, " more, of which ",
                file_bytes - proof.code.size(), " are its header");
  if (r.bytes > 0) {
    const double bytes = static_cast<double>(r.bytes);
    json["bytes"] = r.bytes;
    json["bpb"] = 8 * score_bytes / bytes;
    json["file_bpb"] = 8 * file / bytes;
    o.console.say("bits per byte: score ", json["bpb"].get<double>(), ", file ", json["file_bpb"].get<double>());
  }
  o.console.say(format_duration(r.seconds), ", ", format_count(static_cast<double>(r.targets) / r.seconds), " targets/s on ", device);
  if (!note.empty()) json["note"] = note;
  o.console.result(json);
}

void run(CompressCommand& o) {
  install_interrupt_handler();
  settle_flags(&o.method);
  if (!o.ledger.empty() && o.sample == 0) throw UsageError("--ledger goes with --sample: a full proof starts from the artifact alone");
  const Model model = load_model(o.artifact);
  ProofMethod method{.score = read_method(o.method, model.config), .arith = o.arith == "native" ? Arith::kNative : Arith::kPortable};
  const std::string note = make_decodable(&method.score);
  ProofFile proof;
  proof.artifact = artifact_tag(model.digest);
  const std::vector<uint16_t> tokens = read_text(o.data, model.config.vocab, &proof.shards);
  ByteTables tables;
  if (!o.tokenizer.empty()) {
    const Tokenizer tokenizer(o.tokenizer);
    if (tokenizer.vocab() != model.config.vocab) {
      fail(o.tokenizer, ": vocabulary of ", tokenizer.vocab(), " pieces, but ", o.artifact, " has ", model.config.vocab);
    }
    tables = tokenizer.byte_tables(model.config.vocab);
  }
  const ProofStates states =
      o.ledger.empty() ? ProofStates() : ProofStates(o.ledger, model, method, static_cast<int64_t>(tokens.size()));
  OutputFile file(o.out);  // an unwritable place is better known before the scoring
  Session session(make_device(o.device, o.threads), model.config, model.table);
  session.set_weights(model.store);
  const ProofOutcome r = compress_text(method, &session, tokens, o.tokenizer.empty() ? nullptr : &tables, o.sample, o.seed, states, o.console, &proof);
  const Bytes bytes = serialise_proof(proof);
  file.write(bytes.data(), bytes.size());
  file.commit();
  report(o, method, proof, r, bytes.size(), note, session.device().name());
}

}  // namespace

void add_compress_command(CLI::App& app) {
  auto o = std::make_shared<CompressCommand>();
  CLI::App* c = app.add_subcommand("compress", "Code shards by the distributions that score them: the proof of a score");
  add_console_options(*c, &o->console);
  c->add_option("--artifact", o->artifact, "artifact (.s16) or checkpoint (.safetensors)")->required();
  c->add_option("--data", o->data, "pattern of validation shards, quoted")->required();
  c->add_option("-o,--out", o->out, "the file to write (.s16z)")->required();
  c->add_option("--tokenizer", o->tokenizer, "SentencePiece model of the shards, to say bits per byte; the file does not need it");
  add_method_options(c, &o->method);
  c->add_option("--arith", o->arith,
                "portable: fp32 in one order, the same bits on every machine (CPU only); native: as the device scores, the same bits "
                "on machines of its kind")
      ->check(CLI::IsMember({"portable", "native"}))
      ->capture_default_str();
  c->add_option("--sample", o->sample, "code this many chunks, drawn by --seed, instead of all; 0: all. Decoding then needs --data")
      ->check(kNonNegative)
      ->capture_default_str();
  c->add_option("--ledger", o->ledger, "with --sample: start from the states that score --ledger kept, instead of training up to each chunk");
  c->add_option("--seed", o->seed, "of --sample")->check(kNonNegative)->capture_default_str();
  c->add_option("--device", o->device, "cpu or cuda")->capture_default_str();
  c->add_option("--threads", o->threads, "CPU threads; 0: all cores")->check(kNonNegative)->capture_default_str();
  c->callback([o] { run(*o); });
}

}  // namespace sixteen
