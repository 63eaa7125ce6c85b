// See source_list.h.
#include "packer/source_list.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string_view>
#include <tuple>

#include "formats/error.h"
#include "formats/file.h"
#include "packer/source_strip.h"

namespace sixteen {
namespace {

constexpr const char* kLists[] = {"FORMATS_SOURCES",    "GRAPH_SOURCES", "GRAPH_ISA_SOURCES",
                                  "GRAPH_CUDA_SOURCES", "MODEL_SOURCES", "EVALUATOR_SOURCES"};

// Not needed to score: writers and foreign readers, data for training, verification, decoding, text, ranks.
constexpr std::string_view kLeftOut[] = {"formats/artifact_writer.cpp",
                                         "formats/ledger.cpp",
                                         "formats/pickle.cpp",
                                         "formats/proof_file.cpp",
                                         "formats/torch_file.cpp",
                                         "formats/train_state.cpp",
                                         "formats/zip.cpp",
                                         "graph/cpu/socket_communicator.cpp",
                                         "graph/cuda/gemm_tune.cpp",
                                         "graph/cuda/nccl_communicator.cpp",
                                         "graph/cuda/nccl_library.cpp",
                                         "graph/gemm_cache.cpp",
                                         "graph/heartbeat.cpp",
                                         "graph/place.cpp",
                                         "graph/profile.cpp",
                                         "graph/reference/reference.cpp",
                                         "graph/reference/reference_rows.cpp",
                                         "graph/rendezvous.cpp",
                                         "graph/sockets.cpp",
                                         "graph/world.cpp",
                                         "model/calibration.cpp",
                                         "model/init.cpp",
                                         "model/launcher.cpp",
                                         "model/mixture_loader.cpp",
                                         "model/mixture_plan.cpp",
                                         "model/numpy_distributions.cpp",
                                         "model/numpy_random.cpp",
                                         "model/optim.cpp",
                                         "model/optim_graph.cpp",
                                         "model/optim_ranks.cpp",
                                         "model/peak.cpp",
                                         "model/prefetch_loader.cpp",
                                         "model/process_clock.cpp",
                                         "model/profile_report.cpp",
                                         "model/sensitivity.cpp",
                                         "model/shuffled_loader.cpp",
                                         "model/statistics.cpp",
                                         "model/svg.cpp",
                                         "model/stream_loader.cpp",
                                         "model/train_shards.cpp",
                                         "model/window_loader.cpp",
                                         "evaluator/arithmetic_coder.cpp",
                                         "evaluator/cmd_bench.cpp",
                                         "evaluator/cmd_compress.cpp",
                                         "evaluator/cmd_decompress.cpp",
                                         "evaluator/cmd_generate.cpp",
                                         "evaluator/cmd_text.cpp",
                                         "evaluator/cmd_verify.cpp",
                                         "evaluator/exact_sum.cpp",
                                         "evaluator/file_trace.cpp",
                                         "evaluator/ledger.cpp",
                                         "evaluator/ledger_player.cpp",
                                         "evaluator/ledger_state.cpp",
                                         "evaluator/method_json.cpp",
                                         "evaluator/proof.cpp",
                                         "evaluator/report.cpp",
                                         "evaluator/proof_method.cpp",
                                         "evaluator/proof_states.cpp",
                                         "evaluator/sampler.cpp",
                                         "evaluator/score_witness.cpp",
                                         "evaluator/scorer_bench.cpp",
                                         "evaluator/scorer_causality.cpp",
                                         "evaluator/scorer_client.cpp",
                                         "evaluator/scorer_distribution.cpp",
                                         "evaluator/scorer_leakage.cpp",
                                         "evaluator/scorer_process.cpp",
                                         "evaluator/scorer_streams.cpp",
                                         "evaluator/scorer_verify.cpp",
                                         "evaluator/verdict.cpp",
                                         "evaluator/verify_distribution.cpp",
                                         "evaluator/verify_ledger.cpp",
                                         "evaluator/verify_perturb.cpp",
                                         "evaluator/verify_records.cpp",
                                         "evaluator/verify_replay.cpp",
                                         "evaluator/verify_text.cpp"};

constexpr const char* kMain = R"(#include "evaluator/commands.h"
#include "model/console.h"
int main(int argc, char** argv) {
return sixteen::run_main("sixteen-eval", "Scores models in bits per byte.", argc, argv, [](CLI::App& app) { sixteen::add_score_command(app); });
}
)";

// Lists of sources by name, as CMakeLists.txt writes them: "set(NAME", a path a line, ")".
std::map<std::string, std::vector<std::string>> source_lists(const std::string& build_file) {
  std::map<std::string, std::vector<std::string>> lists;
  std::istringstream lines(build_file);
  std::vector<std::string>* open = nullptr;
  for (std::string line; std::getline(lines, line);) {
    std::smatch name;
    if (std::regex_match(line, name, std::regex(R"(set\((\w+))")))
      open = &lists[name[1]];
    else if (line == ")")
      open = nullptr;
    else if (open != nullptr && line.rfind("  ", 0) == 0)
      open->push_back(line.substr(2));
  }
  return lists;
}

// The build file without entries that are not shipped and from the tests on.
std::string counted_build_file(const std::string& build_file, const std::set<std::string>& shipped) {
  static const std::regex entry(R"(\s+([\w/]+\.(cpp|cu)))");
  std::string out;
  std::istringstream lines(build_file);
  for (std::string line; std::getline(lines, line) && line.rfind("# ---- Counted sources", 0) != 0;) {
    std::smatch path;
    if (!std::regex_match(line, path, entry) || shipped.count(path[1]) > 0)
      out += std::regex_replace(line, std::regex("-Werror(=all-warnings)?;"), "") + '\n';
  }
  return strip_hash_lines(out);
}

// Adds the headers that a text includes from the root's folders, and theirs.
void add_headers(const std::string& root, const std::string& text, std::map<std::string, std::string>* files) {
  static const std::regex include(R"re(#include "([\w/]+\.\w+)")re");
  for (auto found = std::sregex_iterator(text.begin(), text.end(), include); found != std::sregex_iterator(); ++found) {
    const std::string path = (*found)[1];
    if (files->count(path) > 0) continue;
    std::string& header = (*files)[path] = strip_cpp(read_text_file(root + "/" + path), path);
    add_headers(root, std::string(header), files);
  }
}

// What compresses well stands together: by layer, CUDA last, a header before its source.
std::tuple<bool, size_t, std::string, std::string, bool> place_of(const std::string& path) {
  static constexpr std::string_view layers[] = {"formats", "graph", "model", "evaluator"};
  const std::filesystem::path parts(path);
  const std::string extension = parts.extension().string();
  return {path.rfind("graph/cuda/", 0) == 0, std::ranges::find(layers, parts.begin()->string()) - layers,
          parts.parent_path().string(), parts.stem().string(), extension == ".cpp" || extension == ".cu"};
}

}  // namespace

std::vector<CountedSource> counted_sources(const std::string& root) {
  const std::string build_file = read_text_file(root + "/CMakeLists.txt");
  auto lists = source_lists(build_file);
  std::map<std::string, std::string> files{{"evaluator/main.cpp", kMain}};
  for (const char* name : kLists) {
    if (lists[name].empty())
      fail(root, "/CMakeLists.txt: no list ", name, " of sources: is this a checkout of sixteen?");
    for (const std::string& path : lists[name]) {
      if (std::ranges::find(kLeftOut, path) == std::end(kLeftOut))
        files[path] = strip_cpp(read_text_file(root + "/" + path), path);
    }
  }
  const std::map<std::string, std::string> sources = files;
  for (const auto& [path, text] : sources) add_headers(root, text, &files);
  std::set<std::string> shipped;
  std::vector<CountedSource> all;
  for (const auto& [path, text] : files) {
    shipped.insert(path);
    all.push_back({path, text});
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& a, const auto& b) { return place_of(a.path) < place_of(b.path); });
  all.insert(all.begin(), {"CMakeLists.txt", counted_build_file(build_file, shipped)});
  return all;
}

}  // namespace sixteen
