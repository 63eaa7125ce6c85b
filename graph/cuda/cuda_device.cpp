// The card behind the CUDA device: what is asked of it before anything runs, its memory and its stream.
//
// Bites: everything but transfers runs on one stream, so uploads, runs and downloads happen in the order of the calls; only
// download() waits. upload() returns when the host memory may be reused: the driver has staged pageable memory by then.
#include "graph/cuda/cuda_device.h"

#include <cstring>

#include "graph/cuda/cuda_executor.h"
#include "graph/cuda/cuda_transfer.h"
#include "graph/cuda/gemm.h"
#include "graph/cuda/kernels.h"
#include "graph/cuda/launch.h"
#include "graph/cuda/sha256_leaf.h"

namespace sixteen::cuda {
namespace {

constexpr int kLowestMajor = 8;  // sm_80: bf16 mma and cp.async

class CudaDevice : public Device {
 public:
  explicit CudaDevice(std::shared_ptr<Card> card) : card_(std::move(card)) {}

  std::string name() const override { return "cuda " + card_->name; }

  DType activations() const override { return DType::kBF16; }

  Buffer allocate(size_t bytes) override { return card_allocate(card_, bytes); }

  void upload(void* device, const void* host, size_t bytes) override {
    SIXTEEN_CUDA_CHECK(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, card_->stream));
  }

  void download(void* host, const void* device, size_t bytes) override {
    SIXTEEN_CUDA_CHECK(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, card_->stream));
    SIXTEEN_CUDA_CHECK(cudaStreamSynchronize(card_->stream));
  }

  std::unique_ptr<Transfer> make_transfer(size_t bytes) override { return make_cuda_transfer(card_, bytes); }

  std::vector<Sha256> leaf_digests(const void* device, size_t bytes) override {
    const size_t leaves = leaf_count(bytes);
    if (digests_.bytes() < leaves * sizeof(Sha256Words)) digests_ = allocate(leaves * sizeof(Sha256Words));
    auto* words = reinterpret_cast<Sha256Words*>(digests_.data());
    cuda::leaf_digests(card_->stream, device, bytes, words);
    std::vector<Sha256Words> found(leaves);
    download(found.data(), words, leaves * sizeof(Sha256Words));
    std::vector<Sha256> digests(leaves);
    for (size_t i = 0; i < leaves; ++i) {
      for (uint32_t& word : found[i].h) word = swap_bytes(word);
      std::memcpy(digests[i].data(), found[i].h, sizeof found[i].h);
    }
    return digests;
  }

  std::unique_ptr<Executor> compile(const Graph& graph, const Plan& plan, Buffer arena) override {
    return std::make_unique<CudaExecutor>(card_, graph, plan, std::move(arena));
  }

  Communicator& ranks() override { return alone_; }

 private:
  std::shared_ptr<Card> card_;
  Alone alone_;
  Buffer digests_;  // of the largest buffer hashed so far
};

std::string version(int v) { return std::to_string(v / 1000) + "." + std::to_string(v % 1000 / 10); }

void check_driver() {
  int driver = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) {
    fail("--device cuda: no NVIDIA driver on this machine; install one, or use --device cpu");
  }
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaErrorInsufficientDriver) {
    fail("--device cuda: the driver serves CUDA ", version(driver), ", this build needs ", version(CUDART_VERSION),
         "; update the driver, or use --device cpu");
  }
  if (status == cudaErrorNoDevice || (status == cudaSuccess && count == 0)) {
    fail("--device cuda: no CUDA card is visible (see CUDA_VISIBLE_DEVICES); use --device cpu");
  }
  SIXTEEN_CUDA_CHECK(status);
}

}  // namespace

Card::~Card() {
  if (stream != nullptr) cudaStreamSynchronize(stream);
  gemm.reset();
  for (cudaStream_t s : {stream, uploads, downloads}) {
    if (s != nullptr) cudaStreamDestroy(s);
  }
}

Buffer card_allocate(const std::shared_ptr<Card>& card, size_t bytes) {
  const size_t rounded = std::max((bytes + kAlignment - 1) / kAlignment * kAlignment, kAlignment);
  void* data = nullptr;
  const cudaError_t status = cudaMalloc(&data, rounded);
  if (status == cudaErrorMemoryAllocation) {
    (void)cudaGetLastError();
    size_t free = 0, total = 0;
    SIXTEEN_CUDA_CHECK(cudaMemGetInfo(&free, &total));
    fail("cuda: out of memory: ", bytes, " bytes wanted, ", free, " of ", total, " free on ", card->name,
         "; use fewer windows a batch or a smaller model");
  }
  SIXTEEN_CUDA_CHECK(status);
  SIXTEEN_CUDA_CHECK(cudaMemsetAsync(data, 0, rounded, card->stream));
  const auto release = [card](std::byte* p) {
    cudaStreamSynchronize(card->stream);
    cudaFree(p);
  };
  return Buffer(std::shared_ptr<std::byte>(static_cast<std::byte*>(data), release), bytes);
}

std::unique_ptr<Device> make_cuda_device(std::shared_ptr<World> world) {
  if (world != nullptr) fail("--device cuda: this build runs on one card; leave --gpus out");
  check_driver();
  cudaDeviceProp properties{};
  SIXTEEN_CUDA_CHECK(cudaSetDevice(0));
  SIXTEEN_CUDA_CHECK(cudaGetDeviceProperties(&properties, 0));
  if (properties.major < kLowestMajor) {
    fail("--device cuda: ", properties.name, " is sm_", properties.major, properties.minor, "; sm_80 or newer is needed");
  }
  auto card = std::make_shared<Card>();
  card->name = properties.name;
  for (cudaStream_t* s : {&card->stream, &card->uploads, &card->downloads}) {
    SIXTEEN_CUDA_CHECK(cudaStreamCreateWithFlags(s, cudaStreamNonBlocking));
  }
  card->gemm = std::make_unique<Gemm>();
  return std::make_unique<CudaDevice>(std::move(card));
}

}  // namespace sixteen::cuda
