// sixteen-eval decompress: the shards of a .s16z file, from it and the artifact alone. The decoding is proof.cpp.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "evaluator/commands.h"
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

struct DecompressCommand {
  std::string file, artifact, data, ledger, out, device = "cpu";
  int threads = 0;
  bool whole_windows = false;
  Console console;
};

// NAME.s16z -> NAME, a folder beside it.
std::string default_folder(const std::string& file) {
  std::filesystem::path path(file);
  if (path.extension() == ".s16z") return path.replace_extension().string();
  return file + ".shards";
}

void make_folder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail(folder, ": cannot make the folder: ", error.message());
}

ProofFile read_proof(const std::string& path) {
  const MappedFile file(path);
  return parse_proof(file.bytes(), path);
}

void write_shards(const std::string& folder, const ProofFile& proof, std::span<const uint16_t> tokens) {
  for (const ProofShard& shard : proof.shards) {
    write_shard(folder + "/" + shard.name + ".bin", tokens.first(static_cast<size_t>(shard.tokens)));
    tokens = tokens.subspan(static_cast<size_t>(shard.tokens));
  }
}

std::vector<uint16_t> read_given(const DecompressCommand& o, const ProofFile& proof, int64_t vocab) {
  if (o.data.empty()) {
    if (proof.sampled.empty()) return {};
    fail(o.file, ": codes ", proof.sampled.size(), " chunks of the text; give the rest as --data 'PATTERN'");
  }
  std::vector<uint16_t> given = read_shards(o.data, vocab);
  if (static_cast<int64_t>(given.size()) != proof.tokens()) {
    fail(o.data, ": ", given.size(), " tokens, but ", o.file, " was made from ", proof.tokens());
  }
  return given;
}

void run(const DecompressCommand& o) {
  install_interrupt_handler();
  const ProofFile proof = read_proof(o.file);
  const Model model = load_model(o.artifact);
  if (artifact_tag(model.digest) != proof.artifact) {
    fail(o.artifact, ": SHA-256 ", to_hex(model.digest), " is not that of the model that ", o.file, " was made with");
  }
  const ProofMethod method = proof_method(proof.settings, model.config, o.file);
  const std::vector<uint16_t> given = read_given(o, proof, model.config.vocab);
  if (!o.ledger.empty() && proof.sampled.empty()) fail(o.file, ": a full proof starts from the artifact alone; leave --ledger out");
  const ProofStates states = o.ledger.empty() ? ProofStates() : ProofStates(o.ledger, model, method, proof.tokens());
  const std::string folder = o.out.empty() ? default_folder(o.file) : o.out;
  make_folder(folder);
  Session session(make_device(o.device, o.threads), model.config, model.table);
  session.set_weights(model.store);
  ProofOutcome r;
  const std::vector<uint16_t> tokens = decompress_text(proof, method, &session, given, o.whole_windows, states, o.console, o.file, &r);
  if (!given.empty() && given != tokens) fail(o.data, ": not the text that ", o.file, " decodes to");
  write_shards(folder, proof, tokens);
  o.console.say(o.file, ": ", r.targets, " targets decoded", r.coded_chunks < r.chunks ? " of the sampled chunks" : "",
                ", the text's digest fits", given.empty() ? "" : ", --data is the same text");
  o.console.say(method_text(method.score), method.arith == Arith::kPortable ? "; portable arithmetic" : "; native arithmetic");
  o.console.say(proof.shards.size(), " shards in ", folder, "; ", format_duration(r.seconds), ", ",
                format_count(static_cast<double>(r.targets) / r.seconds), " targets/s on ", session.device().name());
  o.console.result({{"tokens", tokens.size()},
                    {"targets", r.targets},
                    {"chunks", r.chunks},
                    {"coded_chunks", r.coded_chunks},
                    {"shards", proof.shards.size()},
                    {"folder", folder},
                    {"same_as_data", given.empty() ? nlohmann::json() : nlohmann::json(true)},
                    {"method", method_text(method.score)},
                    {"seconds", r.seconds}});
}

}  // namespace

void add_decompress_command(CLI::App& app) {
  auto o = std::make_shared<DecompressCommand>();
  CLI::App* c = app.add_subcommand("decompress", "Rebuild the shards of a compressed file from it and the artifact alone");
  add_console_options(*c, &o->console);
  c->add_option("file", o->file, "written by compress (.s16z)")->required();
  c->add_option("--artifact", o->artifact, "the model that it was made with")->required();
  c->add_option("--data", o->data,
                "pattern of the shards that it should be, quoted: compared after decoding. Needed for a sample, whose coded chunks "
                "are still decoded unseen");
  c->add_option("--ledger", o->ledger, "of a sample: start from the states that score --ledger kept, instead of training up to each chunk");
  c->add_option("-o,--out", o->out, "folder for the shards; default: the file's name without .s16z");
  c->add_flag("--whole-windows", o->whole_windows,
              "compute a window anew for every target instead of keeping keys and values: the same result by another way, about a window's "
              "length slower; always so on cuda");
  c->add_option("--device", o->device, "cpu or cuda")->capture_default_str();
  c->add_option("--threads", o->threads, "CPU threads; 0: all cores")->check(kNonNegative)->capture_default_str();
  c->callback([o] { run(*o); });
}

}  // namespace sixteen
