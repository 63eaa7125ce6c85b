// A model on a device: weights and gradients in device memory, one compiled executor a (mode, shape), one shared arena.
//
// What trainer, packer and evaluator all drive. Executors are compiled at first use and kept; nothing is allocated when a
// shape is run again.
// Bites: gradients are added to until zero_grads(). Loop on and off are two graphs over the same arena, so an output is valid
// only until the next run.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "graph/profile.h"
#include "model/pass.h"
#include "model/transformer.h"

namespace sixteen {

// A row of kHeadHints (graph/op.h).
struct HintStats {
  float nll, hint_nll, entropy;  // nats
  float hint_rank;               // how many logits come before the hint's
};

// One window of a text that becomes known part by part (Session::extend).
struct GrowingWindow {
  explicit GrowingWindow(int64_t length_in) : length(length_in) {}
  void clear() { ids.clear(); }  // for another window of the same length

  int64_t length;                       // at most; decides the rotary base
  std::vector<int32_t> ids;             // so far
  std::map<std::string, Buffer> kept;   // keys and values of these rows, a visit of a layer
  std::vector<float> cos, sin;          // rope tables of all positions
};

class Session {
 public:
  // activations: kF32 or kBF16; the device's own choice where none is given.
  Session(std::shared_ptr<Device> device, const ModelConfig& config, std::shared_ptr<const ParamTable> table,
          std::optional<DType> activations = std::nullopt);
  ~Session();

  Device& device() { return *device_; }
  const ModelConfig& config() const { return config_; }
  const ParamTable& table() const { return *table_; }

  // Flat buffers in table layout; float*, device addresses.
  Buffer weights() { return weights_; }
  Buffer weights_bf16() { return weights_bf16_; }  // their copy for bf16 graphs, else empty
  void refresh_bf16();                              // for who has changed weights() by hand
  Buffer grads();                       // allocated at first use
  void set_weights(const ParamStore& store);
  void get_weights(ParamStore* store);
  void zero_grads();

  // Fake quantisation of every train() from here on.
  void set_fake_quant(const FakeQuantConfig& fake_quant) { fake_quant_ = fake_quant; }

  // Evaluation-time hash embedding: allocates zeroed table and gradient; modes built from here on use it.
  void enable_hash(const HashEmbedConfig& hash);
  const HashEmbedConfig& hash() const { return hash_; }
  Buffer hash_table() { return hash_table_; }
  Buffer hash_grads() { return hash_grads_; }

  // ids, targets, row_weight: [windows * seq]. Adds gradients of sum(row_weight * nll); returns sum(row_weight * nll).
  double train(std::span<const int32_t> ids, std::span<const int32_t> targets, std::span<const float> row_weight, int64_t windows,
               int64_t seq, bool looping);
  // ids [windows * seq], targets [windows * tail] -> nll [windows * tail], fp32 nats.
  void score(std::span<const int32_t> ids, std::span<const int32_t> targets, int64_t windows, int64_t seq, int64_t tail,
             std::span<float> nll, bool logits_bf16 = false, bool looping = true);
  // The same without waiting: inputs are copied beside the pass that runs, losses are collected in the order of submission, so
  // that the device never stands still. At most kPasses may be in flight; none when a waiting call above is made.
  static constexpr size_t kPasses = 2;
  void submit_train(std::span<const int32_t> ids, std::span<const int32_t> targets, std::span<const float> row_weight,
                    int64_t windows, int64_t seq, bool looping);
  void submit_score(std::span<const int32_t> ids, std::span<const int32_t> targets, int64_t windows, int64_t seq, int64_t tail,
                    bool logits_bf16 = false, bool looping = true);
  size_t in_flight() const { return in_flight_; }
  double collect_loss();                   // of the oldest pass, which trains
  std::span<const float> collect_nll();    // of the oldest pass, which scores; valid until the next submission
  // As submit_score(), about the target and one hinted token a row: hints [windows * tail], -1 for none.
  void submit_hints(std::span<const int32_t> ids, std::span<const int32_t> targets, std::span<const int32_t> hints, int64_t windows,
                    int64_t seq, int64_t tail, bool logits_bf16);
  std::span<const HintStats> collect_hints();
  void drop_passes() { in_flight_ = 0; }   // for who gives up between submission and collection
  // ids [windows * seq] -> logits [windows * tail, vocab].
  void logits(std::span<const int32_t> ids, int64_t windows, int64_t seq, int64_t tail, std::span<float> out);
  // Appends `ids` to the window -> logits [vocab] at its last row, with the bits that logits() gives that row. Costs only the new
  // rows. Weights must be those of the first part. Where extends().
  bool extends() const;  // keys of odd sizes cannot be added row by row
  void extend(GrowingWindow* window, std::span<const int32_t> ids, std::span<float> out);
  // Adds X^T X of every matrix input to `hessians` (by name, [cols * cols], created zeroed when absent).
  void calibrate(std::span<const int32_t> ids, int64_t windows, int64_t seq, bool looping, std::map<std::string, Buffer>* hessians);

  // Windows of `length` tokens in one pass that keep the device busy without a large arena, for those who may choose: bits of
  // scores do not depend on it, gradients are accumulated.
  int64_t score_batch(int64_t length) const { return windows_of(activations_ == DType::kBF16 ? 131072 : 16384, length); }
  int64_t train_batch(int64_t length) const { return windows_of(activations_ == DType::kBF16 ? 32768 : 8192, length); }

  int64_t arena_bytes() const;  // of the largest plan compiled so far

  // The programs that train() and score() run for these shapes.
  BuildOptions train_options(int64_t windows, int64_t seq, bool looping) const;
  BuildOptions score_options(int64_t windows, int64_t seq, int64_t tail, bool logits_bf16 = false, bool looping = true) const;
  // Throws Error before anything runs when the device has too little memory for all of them beside each other (one arena, each
  // its inputs and scratch): says how much is needed and free, and `advice`. Where there is enough, the arena is made for the
  // largest of them. Does nothing on a device that does not know its memory.
  void reserve(const std::vector<BuildOptions>& programs, const std::string& advice);
  // Times of the ops of one run, on what its last train() or score() left there. Gradients are added to.
  std::vector<OpTime> profile(const BuildOptions& options, const MachineRates& rates);

 private:
  struct Program;
  static int64_t windows_of(int64_t tokens, int64_t length) { return tokens > length ? tokens / length : 1; }
  Program& planned(const BuildOptions& options);  // built, nothing allocated
  Program& program(const BuildOptions& options);  // built, compiled and bound
  void download_logits(const Program& program, std::span<float> out);
  void bind_kept(Program* program, GrowingWindow* window);
  void compile(Program* program);                 // over the present arena, a larger one where it needs one
  Pass& begin_pass();                             // the next one, which is not in flight
  Pass& oldest_pass();                            // no longer in flight when this returns
  void grow_arena(int64_t bytes);

  std::shared_ptr<Device> device_;
  ModelConfig config_;
  std::shared_ptr<const ParamTable> table_;
  DType activations_;
  Buffer weights_, weights_bf16_, grads_, hash_table_, hash_grads_, arena_;
  HashEmbedConfig hash_;
  FakeQuantConfig fake_quant_;
  std::map<std::string, std::unique_ptr<Program>> programs_;
  std::array<Pass, kPasses> passes_;
  size_t next_pass_ = 0, in_flight_ = 0;  // the oldest is next_pass_ - in_flight_
};

}  // namespace sixteen
