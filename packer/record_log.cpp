// See record_log.h.
#include "packer/record_log.h"

#include <filesystem>
#include <regex>
#include <sstream>

#include "formats/file.h"

namespace sixteen {
namespace {

constexpr size_t kLongestLine = 2000;  // std::regex recurses; longer lines are dumps of source

int64_t integer_of(std::string text) {
  std::erase(text, ',');
  return std::strtoll(text.c_str(), nullptr, 10);
}

// The number behind a pattern's first group, if the line has it.
bool find_integer(const std::string& line, const std::regex& pattern, std::optional<int64_t>* value) {
  std::smatch match;
  if (!std::regex_search(line, match, pattern)) return false;
  *value = integer_of(match[1]);
  return true;
}

bool find_real(const std::string& line, const std::regex& pattern, double factor, std::optional<double>* value) {
  std::smatch match;
  if (!std::regex_search(line, match, pattern)) return false;
  *value = std::strtod(match[1].str().c_str(), nullptr) * factor;
  return true;
}

void read_sizes(const std::string& line, RecordLog* log) {
  static const std::regex model(R"(^Serialized model \S+: *([\d,]+) bytes)"), total(R"(^Total submission size\b[^:]*: *([\d,]+) bytes)"),
      code(R"(^Code size(?: \(compressed\))?: *([\d,]+) bytes)");
  find_integer(line, model, &log->model_bytes);
  find_integer(line, total, &log->total_bytes);
  find_integer(line, code, &log->code_bytes);
}

void read_times(const std::string& line, RecordLog* log) {
  static const std::regex step(R"(step: *(\d+)/\d+)"), train(R"(train_time: *([\d.]+)ms)"), average(R"(step_avg: *([\d.]+)ms)"),
      hessian(R"(Hessians in ([\d.]+)s)"), eval(R"(^total_eval_time: *([\d.]+)s)"), eval_ms(R"(eval_time: *([\d.]+)ms)");
  if (find_real(line, train, 1, &log->train_ms)) {
    find_integer(line, step, &log->steps);
    if (!find_real(line, average, 1, &log->step_ms)) log->step_ms.reset();
  }
  find_real(line, hessian, 1, &log->hessian_s);
  if (line.rfind("diagnostic", 0) != 0) find_real(line, eval_ms, 1, &log->eval_ms);
  find_real(line, eval, 1000, &log->eval_ms);
}

void read_score(const std::string& line, RecordLog* log) {
  static const std::regex score(R"(^(\w[\w ()\-]*?) val_loss: *(\d+\.\d+) val_bpb: *(\d+)\.(\d+))");
  std::smatch match;
  if (!std::regex_search(line, match, score)) return;
  const std::string fraction = match[4];
  log->scores.push_back({match[1], std::strtod(match[2].str().c_str(), nullptr), std::strtod((match[3].str() + "." + fraction).c_str(), nullptr),
                         static_cast<int>(fraction.size())});
}

void read_facts(const std::string& line, RecordLog* log) {
  static const std::regex seed(R"(^\s*seed: *(\d+))"), seed_inside(R"(\bseed: *(\d+))"), val(R"(^\s*val_tokens: *([\d,]+))"),
      val_loader(R"(^val_loader:.*tokens: *([\d,]+))"), shards(R"(^\s*train_shards: *(\d+))"), loader(R"(^train_loader:.*train_shards: *(\d+))"),
      within(R"(within_gate=(\d+))"), word(R"(word_gate=(\d+))"), setting(R"(^\s*([A-Za-z_]\w*): (\S.*)$)");
  if (!find_integer(line, seed, &log->seed) && !log->seed) find_integer(line, seed_inside, &log->seed);
  if (!find_integer(line, val, &log->val_tokens)) find_integer(line, val_loader, &log->val_tokens);
  if (!find_integer(line, shards, &log->train_shards)) find_integer(line, loader, &log->train_shards);
  find_integer(line, within, &log->within_gate);
  find_integer(line, word, &log->word_gate);
  std::smatch match;
  if (!log->train_ms && std::regex_search(line, match, setting)) log->settings[match[1]] = match[2];
}

}  // namespace

RecordLog read_record_log(const std::string& path) {
  RecordLog log;
  log.path = path;
  std::istringstream text(read_text_file(path));
  for (std::string line; std::getline(text, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.size() <= kLongestLine) {
      read_sizes(line, &log);
      read_times(line, &log);
      read_score(line, &log);
      read_facts(line, &log);
    }
    log.lines.push_back(std::move(line));
  }
  static const std::regex in_name(R"(seed_?(\d+))");
  if (!log.seed) find_integer(std::filesystem::path(path).filename().string(), in_name, &log.seed);
  return log;
}

}  // namespace sixteen
