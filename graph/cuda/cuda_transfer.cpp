// See cuda_transfer.h. Between host and staging buffer a copy stream works; between staging buffer and operands the stream
// of the runs, by a copy within the card that takes microseconds. Captured graphs thus keep their addresses.
//
// Bites: a stream for each direction, since an upload must not queue behind a download that waits for a run.
#include "graph/cuda/cuda_transfer.h"

namespace sixteen::cuda {
namespace {

class CudaTransfer : public Transfer {
 public:
  CudaTransfer(std::shared_ptr<Card> card, size_t bytes) : card_(std::move(card)), staging_(card_allocate(card_, bytes)) {
    for (cudaEvent_t* event : {&copied_, &used_}) SIXTEEN_CUDA_CHECK(cudaEventCreateWithFlags(event, cudaEventDisableTiming));
    void* memory = nullptr;
    SIXTEEN_CUDA_CHECK(cudaHostAlloc(&memory, std::max<size_t>(bytes, 1), cudaHostAllocDefault));
    host_ = static_cast<std::byte*>(memory);
    SIXTEEN_CUDA_CHECK(cudaEventRecord(used_, card_->stream));  // the first upload waits for the zeros of a new allocation
  }

  ~CudaTransfer() override {
    cudaStreamSynchronize(card_->uploads);
    cudaStreamSynchronize(card_->downloads);
    cudaFreeHost(host_);
    cudaEventDestroy(copied_);
    cudaEventDestroy(used_);
  }

  std::byte* host() override { return host_; }

  void send(size_t bytes) override {
    CHECK(bytes <= staging_.bytes());
    bytes_ = bytes;
    SIXTEEN_CUDA_CHECK(cudaStreamWaitEvent(card_->uploads, used_));  // the last delivery has left the staging buffer
    SIXTEEN_CUDA_CHECK(cudaMemcpyAsync(staging_.data(), host_, bytes, cudaMemcpyHostToDevice, card_->uploads));
    SIXTEEN_CUDA_CHECK(cudaEventRecord(copied_, card_->uploads));
  }

  void deliver(void* to) override {
    SIXTEEN_CUDA_CHECK(cudaStreamWaitEvent(card_->stream, copied_));
    SIXTEEN_CUDA_CHECK(cudaMemcpyAsync(to, staging_.data(), bytes_, cudaMemcpyDeviceToDevice, card_->stream));
    SIXTEEN_CUDA_CHECK(cudaEventRecord(used_, card_->stream));
  }

  void fetch(const void* from, size_t bytes) override {
    CHECK(bytes <= staging_.bytes());
    SIXTEEN_CUDA_CHECK(cudaStreamWaitEvent(card_->stream, copied_));
    SIXTEEN_CUDA_CHECK(cudaMemcpyAsync(staging_.data(), from, bytes, cudaMemcpyDeviceToDevice, card_->stream));
    SIXTEEN_CUDA_CHECK(cudaEventRecord(used_, card_->stream));
    SIXTEEN_CUDA_CHECK(cudaStreamWaitEvent(card_->downloads, used_));
    SIXTEEN_CUDA_CHECK(cudaMemcpyAsync(host_, staging_.data(), bytes, cudaMemcpyDeviceToHost, card_->downloads));
    SIXTEEN_CUDA_CHECK(cudaEventRecord(copied_, card_->downloads));
  }

  void wait() override { SIXTEEN_CUDA_CHECK(cudaEventSynchronize(copied_)); }

 private:
  std::shared_ptr<Card> card_;
  Buffer staging_;
  std::byte* host_ = nullptr;
  size_t bytes_ = 0;  // sent and not yet delivered
  cudaEvent_t copied_ = nullptr, used_ = nullptr;
};

}  // namespace

std::unique_ptr<Transfer> make_cuda_transfer(std::shared_ptr<Card> card, size_t bytes) {
  return std::make_unique<CudaTransfer>(std::move(card), bytes);
}

}  // namespace sixteen::cuda
