#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/embedder.h"

namespace larder {
namespace {

TEST(MiniLm, SaysThatItWasLeftOut) {
  const auto embedder = OpenMiniLm("");
  EXPECT_EQ(embedder.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(embedder.status().message(), ::testing::HasSubstr("LARDER_MINILM=OFF"));
}

}  // namespace
}  // namespace larder
