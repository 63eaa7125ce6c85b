// The card behind the CUDA device: what is asked of it before anything runs, its memory and its stream.
//
// Bites: everything but transfers runs on one stream, so uploads, runs and downloads happen in the order of the calls; only
// download() waits. upload() returns when the host memory may be reused: the driver has staged pageable memory by then.
#include "graph/cuda/cuda_device.h"

#include <cstring>

#include "graph/cuda/card_check.h"
#include "graph/cuda/cuda_executor.h"
#include "graph/cuda/cuda_transfer.h"
#include "graph/cuda/gemm.h"
#include "graph/cuda/kernels.h"
#include "graph/cuda/launch.h"
// uncounted: begin
#include "graph/cuda/nccl_communicator.h"
// uncounted: end
#include "graph/cuda/sha256_leaf.h"

namespace sixteen::cuda {
namespace {

class CudaDevice : public Device {
 public:
  CudaDevice(std::shared_ptr<Card> card, std::shared_ptr<Communicator> ranks) : card_(std::move(card)), ranks_(std::move(ranks)) {}

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

  std::optional<DeviceMemory> memory() override {
    size_t free = 0, total = 0;
    SIXTEEN_CUDA_CHECK(cudaMemGetInfo(&free, &total));
    return DeviceMemory{static_cast<int64_t>(free), static_cast<int64_t>(total)};
  }

  int64_t scratch_bytes(const Graph& graph, const Plan& plan) override { return CudaExecutor::dry_scratch_bytes(card_, graph, plan); }

  std::string gemm_library() const override { return card_->name + ", cublasLt " + std::to_string(Gemm::version()); }
  void use_gemm_choices(const GemmChoices& choices) override { card_->gemm->use(choices); }
  // uncounted: begin
  GemmMeasurement measure_gemm() override { return card_->gemm->measure(card_->stream); }
  // uncounted: end

  std::unique_ptr<Executor> compile(const Graph& graph, const Plan& plan, Buffer arena) override {
    return std::make_unique<CudaExecutor>(card_, graph, plan, std::move(arena));
  }

  Communicator& ranks() override { return *ranks_; }

 private:
  std::shared_ptr<Card> card_;
  std::shared_ptr<Communicator> ranks_;
  Buffer digests_;  // of the largest buffer hashed so far
};

void refuse(const CardFacts& facts) {
  const std::string refusal = card_refusal(facts);
  if (!refusal.empty()) fail(refusal);
}

// Of the cards that CUDA_VISIBLE_DEVICES leaves: rank i of a host takes the i-th, or the only one, which its launcher chose. Asks no
// further than the first thing that is wrong: without a driver every other call would fail for its own reason.
CardFacts checked_card(const World* world) {
  CardFacts facts{.runtime = CUDART_VERSION, .cards = 1, .name = "", .major = kLowestMajor, .minor = 0};
  if (cudaDriverGetVersion(&facts.driver) != cudaSuccess) facts.driver = 0;
  refuse(facts);
  const cudaError_t status = cudaGetDeviceCount(&facts.cards);
  if (status == cudaErrorInsufficientDriver) facts.driver = std::min(facts.driver, CUDART_VERSION / 1000 * 1000 - 1);
  else if (status == cudaErrorNoDevice) facts.cards = 0;
  else SIXTEEN_CUDA_CHECK(status);
  refuse(facts);
  int card = 0;
  // uncounted: begin
  if (world != nullptr && facts.cards > 1) card = world->place().local_rank;
  if (card >= facts.cards) {
    fail("--device cuda: rank ", world->rank(), " is number ", card, " of its host, which has ", facts.cards,
         " cards; start no more ranks a host than it has cards");
  }
  // uncounted: end
  SIXTEEN_CUDA_CHECK(cudaSetDevice(card));
  cudaDeviceProp properties{};
  SIXTEEN_CUDA_CHECK(cudaGetDeviceProperties(&properties, card));
  facts.name = properties.name, facts.major = properties.major, facts.minor = properties.minor;
  refuse(facts);
  return facts;
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
  const CardFacts facts = checked_card(world.get());
  auto card = std::make_shared<Card>();
  card->name = facts.name;
  for (cudaStream_t* s : {&card->stream, &card->uploads, &card->downloads}) {
    SIXTEEN_CUDA_CHECK(cudaStreamCreateWithFlags(s, cudaStreamNonBlocking));
  }
  card->gemm = std::make_unique<Gemm>(10 * facts.major + facts.minor);
  std::shared_ptr<Communicator> ranks = std::make_shared<Alone>();
  // uncounted: begin
  if (world != nullptr) ranks = make_nccl_communicator(card, std::move(world));
  // uncounted: end
  return std::make_unique<CudaDevice>(std::move(card), std::move(ranks));
}

}  // namespace sixteen::cuda
