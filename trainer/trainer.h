// One training run: data, gradients, optimiser, schedules, averages, checkpoints, from the first step to the last.
//
// Files: `out` is the checkpoint (the weights that [train.averaging] selects) and `out`.state what a resume needs; each is replaced
// atomically, so whatever stops the run leaves both whole, and a resume needs the state alone. The order of a step is
// spec_1584_1555 5.1.
// With ranks beside it (RunOptions::world) every rank has a Trainer and makes the same calls. Its part of a step is StepShare's, the
// gradients meet in the optimiser, and once a step the ranks tell each other loss, norm, rank 0's clock and Ctrl-C, so that all
// take the same decisions. The state does not depend on the number of ranks.
// Bites: under clock = "steps" a resumed run continues bit for bit; under "wall" from the stored elapsed time.
#pragma once

#include <chrono>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "formats/train_state.h"
#include "graph/world.h"
#include "model/calibration.h"
#include "model/console.h"
#include "model/gradient_tree.h"
#include "model/optim.h"
#include "model/train_loader.h"
#include "trainer/snapshot_mean.h"
#include "trainer/step_share.h"
#include "trainer/train_config.h"
#include "trainer/train_log.h"
#include "trainer/validation.h"

namespace sixteen {

struct RunOptions {
  ModelConfig model;
  TrainConfig train;
  std::string data;            // folder of *_train_*.bin
  std::string val, tokenizer;  // pattern of validation shards (empty: none); their tokenizer
  std::string out, log;        // log: JSON lines; empty: OUT.log.jsonl
  std::string hessians;        // file for those of the checkpoint's weights; empty: none
  CalibrationConfig calibration;
  std::string device = "cpu";
  int threads = 0;
  bool resume = false;
  Console console;
  std::shared_ptr<World> world;  // the other ranks of the run; null: none. Rank 0 alone writes files
};

struct RunResult {
  int64_t steps = 0, parameters = 0;
  double train_seconds = 0;
  double loss = std::numeric_limits<double>::quiet_NaN();  // of the last step, nats a token; NaN: no step was left
  double val_bpb_raw = 0, val_bpb = 0;  // of the last and of the selected weights, loop on; 0 without validation data
  std::string selected;                 // "raw", "ema" or "swa": the weights in the checkpoint
  double tokens_per_second = 0;         // of training time, the part before a resume included
};

class Trainer {
 public:
  explicit Trainer(const RunOptions& options);
  ~Trainer();
  RunResult run();

  // One optimiser step; returns the mean loss. What run() repeats, and tests drive. Throws Error when loss or gradient
  // are not finite: the weights are lost then, the files are not.
  double step();
  int64_t steps_done() const { return step_; }
  Session& session() { return *session_; }
  void save();           // checkpoint and resume state; throws Error and writes nothing when a weight is not finite
  bool looping() const;  // of the next step

 private:
  double frac() const;          // of the schedule, 0 to 1 and beyond
  double scheduled_lr() const;  // multiplier of the learning rates in the next step
  void start_fake_quant_when_due();
  void set_fake_quant();
  void take_snapshot_when_due();
  bool finished() const;
  void accumulate(double* loss);  // forward and backward of this rank's leaves, submitted; losses that came in meanwhile
  void meet(double* loss, double norm, double seconds);
  void check_ranks_agree() const;
  std::map<std::string, std::string> loader_states() const;  // of all ranks, by "rank" and the virtual one's number
  Communicator& ranks() const { return session_->device().ranks(); }
  bool writes() const { return share_.mine.first == 0; }  // rank 0
  void check_finite(double loss) const;
  struct Interval;  // see train_loop.cpp
  void loop_until_done(RunResult* result);
  double timed_step(Interval* interval);  // returns the step's loss
  void between_steps();
  void stop_if_asked();
  void log_interval(const Interval& interval);
  double seconds_left(double seconds_per_step) const;
  ScoreSum validate_now(const char* what, bool looping);
  void validate_at_end(RunResult* result);
  void collect_hessians_at_end();
  std::vector<std::string> averages() const;  // of "raw", "ema", "swa" those that there are
  std::string selected() const;               // which of them the checkpoint gets
  ParamStore weights_of(const std::string& average) const;
  void write_checkpoint() const;
  std::string state_path() const { return options_.out + ".state"; }
  void save_state();
  void restore_state();
  void restore_averages(const TrainStateFile& file);
  struct StateTensors;  // flat copies and their views by tensor, see train_resume.cpp

  RunOptions options_;
  const StepShare share_;
  std::shared_ptr<const ParamTable> table_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<GradientTree> tree_;
  std::unique_ptr<Validation> validation_;              // with validation data
  std::vector<std::unique_ptr<TrainLoader>> loaders_;   // of share_.streams
  std::unique_ptr<TrainLog> log_;
  std::vector<int32_t> ids_, targets_;  // [micro_windows * seq_len], reused
  std::vector<float> row_weight_;
  int64_t step_ = 0;
  SnapshotMean swa_;
  bool fake_quant_ = false;
  std::string best_on_val_;  // once the validation data chose
  bool interrupted_ = false, save_due_ = false;  // as all ranks know: some rank was; rank 0's clock says so
  std::chrono::steady_clock::time_point last_save_ = std::chrono::steady_clock::now();
  double train_seconds_ = 0, step_seconds_ = 0, last_norm_ = 0, last_lr_scale_ = 1, peak_flops_ = 0;
};

}  // namespace sixteen
