// What a person reads who asks for a card that is not there or will not do.
#include "graph/cuda/card_check.h"

#include <gtest/gtest.h>

namespace sixteen::cuda {
namespace {

constexpr int kRuntime = 12040;

TEST(CardCheck, SaysWhatIsMissingInOneLine) {
  EXPECT_EQ(card_refusal({.driver = 0, .runtime = kRuntime}),
            "--device cuda: no NVIDIA driver on this machine; install one, or use --device cpu");
  EXPECT_EQ(card_refusal({.driver = 11080, .runtime = kRuntime, .cards = 1}),
            "--device cuda: the driver serves CUDA 11.8, this build needs 12.4; update the driver, or use --device cpu");
  EXPECT_EQ(card_refusal({.driver = 12040, .runtime = kRuntime, .cards = 0}),
            "--device cuda: no CUDA card is visible (see CUDA_VISIBLE_DEVICES); use --device cpu");
  EXPECT_EQ(card_refusal({.driver = 12040, .runtime = kRuntime, .cards = 1, .name = "Tesla V100", .major = 7, .minor = 0}),
            "--device cuda: Tesla V100 is sm_70; sm_80 or newer is needed; use --device cpu");
}

TEST(CardCheck, TakesWhatWillDo) {
  for (const int driver : {12000, 12040, 13000}) {
    for (const int major : {8, 9, 12}) {
      EXPECT_EQ(card_refusal({.driver = driver, .runtime = kRuntime, .cards = 1, .name = "card", .major = major, .minor = 0}), "");
    }
  }
}

}  // namespace
}  // namespace sixteen::cuda
