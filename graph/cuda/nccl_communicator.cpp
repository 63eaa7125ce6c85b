// See nccl_communicator.h.
#include "graph/cuda/nccl_communicator.h"

#include <array>
#include <cstring>
#include <exception>
#include <mutex>
#include <string>
#include <thread>

#include "graph/cuda/launch.h"
#include "graph/cuda/nccl_library.h"

namespace sixteen::cuda {
namespace {

// Two threads may end a communicator: the one that uses it, and the heartbeat's when a rank is lost.
struct Connection {
  std::mutex mutex;  // of comm, held during each call
  NcclComm comm = nullptr;

  void abort() {
    const std::lock_guard lock(mutex);
    if (comm != nullptr) nccl().comm_abort(comm);
    comm = nullptr;
  }
};

int type_of(DType dtype) {
  CHECK(dtype == DType::kF32 || dtype == DType::kBF16);
  return dtype == DType::kF32 ? NcclLibrary::kFloat32 : NcclLibrary::kBfloat16;
}

class NcclCommunicator final : public Communicator {
 public:
  NcclCommunicator(std::shared_ptr<Card> card, std::shared_ptr<World> world) : card_(std::move(card)), world_(std::move(world)) {
    connect();
    SIXTEEN_CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    SIXTEEN_CUDA_CHECK(cudaEventCreateWithFlags(&ready_, cudaEventDisableTiming));
    for (cudaEvent_t& event : done_) SIXTEEN_CUDA_CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    // In a thread of its own: the heartbeat must be able to end a process whose abort does not return.
    world_->heartbeat().on_loss([connection = connection_] { std::thread([connection] { connection->abort(); }).detach(); });
  }

  ~NcclCommunicator() override {
    if (std::uncaught_exceptions() > 0 || world_->heartbeat().lost()) connection_->abort();
    cudaStreamSynchronize(stream_);
    {
      const std::lock_guard lock(connection_->mutex);
      if (connection_->comm != nullptr) nccl().comm_destroy(connection_->comm);
      connection_->comm = nullptr;
    }
    for (const cudaEvent_t event : done_) cudaEventDestroy(event);
    cudaEventDestroy(ready_);
    cudaStreamDestroy(stream_);
  }

  int rank() const override { return world_->rank(); }
  int size() const override { return world_->size(); }

  Ticket reduce_scatter(const void* x, void* y, int64_t count, DType dtype) override {
    return start([&](NcclComm comm) {
      return nccl().reduce_scatter(x, y, static_cast<size_t>(count), type_of(dtype), NcclLibrary::kSum, comm, stream_);
    });
  }

  Ticket all_gather(const void* x, void* y, int64_t count, DType dtype) override {
    return start([&](NcclComm comm) { return nccl().all_gather(x, y, static_cast<size_t>(count), type_of(dtype), comm, stream_); });
  }

  Ticket all_reduce(void* x, int64_t count, DType dtype) override {
    return start([&](NcclComm comm) {
      return nccl().all_reduce(x, x, static_cast<size_t>(count), type_of(dtype), NcclLibrary::kSum, comm, stream_);
    });
  }

  // From here on the card's work, and so whoever waits for it, waits for other ranks.
  void wait(Ticket ticket) override {
    CHECK(ticket < started_ && started_ - ticket <= static_cast<Ticket>(done_.size()));
    SIXTEEN_CUDA_CHECK(cudaStreamWaitEvent(card_->stream, done_[slot(ticket)]));
    if (working_) world_->heartbeat().set_state(Heartbeat::State::kWaiting);
  }

  void all_gather_host(const void* mine, void* all, size_t bytes) override {
    Heartbeat& heartbeat = world_->heartbeat();
    heartbeat.set_state(Heartbeat::State::kWaiting);
    world_->all_gather(mine, all, bytes);
    heartbeat.set_state(working_ ? Heartbeat::State::kWorking : Heartbeat::State::kIdle);
  }

  void alive() override {
    world_->heartbeat().tick();
    if (working_) world_->heartbeat().set_state(Heartbeat::State::kWorking);
    world_->heartbeat().check();
    const std::lock_guard lock(connection_->mutex);
    int error = NcclLibrary::kSuccess;
    if (connection_->comm != nullptr && nccl().comm_get_async_error(connection_->comm, &error) == NcclLibrary::kSuccess) expect(error);
  }

  void set_working(bool working) override {
    working_ = working;
    world_->heartbeat().set_state(working ? Heartbeat::State::kWorking : Heartbeat::State::kIdle);
  }

 private:
  struct Seat {
    char host[64] = "", card[32] = "";
  };

  // NCCL's own word for two ranks on one card would be "invalid usage".
  void check_seats() {
    Seat mine;
    int device = 0;
    SIXTEEN_CUDA_CHECK(cudaGetDevice(&device));
    SIXTEEN_CUDA_CHECK(cudaDeviceGetPCIBusId(mine.card, sizeof mine.card, device));
    const std::string host = world_->heartbeat().host_of(rank());
    std::strncpy(mine.host, host.c_str(), sizeof mine.host - 1);
    const std::vector<Seat> seats = gather(mine);
    for (size_t r = 0; r < seats.size(); ++r) {
      for (size_t other = 0; other < r; ++other) {
        if (std::memcmp(&seats[r], &seats[other], sizeof(Seat)) != 0) continue;
        fail("ranks ", other, " and ", r, " have one card, ", seats[r].card, " of ", seats[r].host,
             "; start no more ranks a host than it has cards (CUDA_VISIBLE_DEVICES may hide some)");
      }
    }
  }

  void connect() {
    nccl();  // before anybody waits for anybody
    check_seats();
    NcclUniqueId id{};
    if (rank() == 0) expect(nccl().get_unique_id(&id));
    id = from_first(id);
    const std::lock_guard lock(connection_->mutex);
    expect(nccl().comm_init_rank(&connection_->comm, size(), id, rank()));
  }

  static size_t slot(Ticket ticket) { return static_cast<size_t>(ticket) % kTickets; }

  // Called with the mutex held, or before there is a communicator.
  void expect(int status) {
    if (status == NcclLibrary::kSuccess || status == NcclLibrary::kInProgress) return;
    world_->heartbeat().check();
    const char* more = nccl().get_last_error != nullptr ? nccl().get_last_error(connection_->comm) : "";
    fail("nccl ", nccl().version, ", rank ", rank(), ": ", nccl().get_error_string(status), more != nullptr && *more != 0 ? ": " : "",
         more != nullptr ? more : "");
  }

  template <class F>
  Ticket start(F call) {
    SIXTEEN_CUDA_CHECK(cudaEventRecord(ready_, card_->stream));
    SIXTEEN_CUDA_CHECK(cudaStreamWaitEvent(stream_, ready_));
    {
      const std::lock_guard lock(connection_->mutex);
      if (connection_->comm == nullptr) {
        world_->heartbeat().check();
        fail("rank ", rank(), ": its communicator has ended");
      }
      expect(call(connection_->comm));
    }
    SIXTEEN_CUDA_CHECK(cudaEventRecord(done_[slot(started_)], stream_));
    return started_++;
  }

  static constexpr size_t kTickets = 64;  // that may be under way
  std::shared_ptr<Card> card_;
  std::shared_ptr<World> world_;
  std::shared_ptr<Connection> connection_ = std::make_shared<Connection>();
  cudaStream_t stream_ = nullptr;
  cudaEvent_t ready_ = nullptr;
  std::array<cudaEvent_t, kTickets> done_{};
  Ticket started_ = 0;
  bool working_ = false;
};

}  // namespace

std::shared_ptr<Communicator> make_nccl_communicator(std::shared_ptr<Card> card, std::shared_ptr<World> world) {
  return std::make_shared<NcclCommunicator>(std::move(card), std::move(world));
}

}  // namespace sixteen::cuda
