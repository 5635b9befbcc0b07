#include "tools/cli/kv_tensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "engine/safetensors.h"

namespace larder::tools {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

KvProfile SmallProfile() {
  KvProfile profile;
  profile.dtype = KvDtype::kF16;
  profile.layers = 2;
  profile.kv_heads = 1;
  profile.head_dim = 4;
  return profile;
}

// Two layers for three tokens, each tensor filled with its own byte.
std::vector<KvLayer> SmallLayers() {
  const uint64_t bytes = SmallProfile().LayerBytes(3);
  return {{0, std::string(bytes, 'a'), std::string(bytes, 'b')},
          {1, std::string(bytes, 'c'), std::string(bytes, 'd')}};
}

class KvTensorsTest : public ::testing::Test {
 protected:
  void TearDown() override { std::remove(path_.c_str()); }
  const std::string path_ = absl::StrCat(::testing::TempDir(), "/kv_tensors_test.safetensors");
  const KvKey key_{"t", "p1", {7, 8, 9}};
};

TEST_F(KvTensorsTest, ReadsBackWhatItWrote) {
  ASSERT_TRUE(WriteKvFile(path_, SmallProfile(), {key_.profile_id, key_.tokens, 17}, SmallProfile().kv_heads,
                          SmallLayers())
                  .ok());
  const KvFile header = *ReadKvFileHeader(path_);
  EXPECT_EQ(header.rotated_from, 17u);
  EXPECT_EQ(header.profile_id, "p1");
  EXPECT_THAT(header.tokens, ElementsAre(7, 8, 9));
  const std::vector<KvLayer> layers = *ReadKvLayers(path_, SmallProfile(), 3);
  ASSERT_EQ(layers.size(), 2);
  EXPECT_EQ(layers[0].k, SmallLayers()[0].k);
  EXPECT_EQ(layers[1].layer, 1);
  EXPECT_EQ(layers[1].v, SmallLayers()[1].v);
}

TEST_F(KvTensorsTest, RefusesAnotherShapeOrType) {
  ASSERT_TRUE(WriteKvFile(path_, SmallProfile(), {key_.profile_id, key_.tokens, 17}, SmallProfile().kv_heads,
                          SmallLayers())
                  .ok());
  EXPECT_THAT(std::string(ReadKvLayers(path_, SmallProfile(), 4).status().message()),
              HasSubstr("tensor \"layers.0.k\": expected F16 [4, 1, 4], found F16 [3, 1, 4]"));
  KvProfile other = SmallProfile();
  other.dtype = KvDtype::kBf16;
  EXPECT_THAT(std::string(ReadKvLayers(path_, other, 3).status().message()),
              HasSubstr("expected BF16 [3, 1, 4]"));
  other = SmallProfile();
  other.layers = 3;
  EXPECT_THAT(std::string(ReadKvLayers(path_, other, 3).status().message()),
              HasSubstr("expected 6 tensors (K and V of 3 layers), found 4"));
}

TEST_F(KvTensorsTest, RefusesAMissingLayer) {
  std::vector<KvLayer> layers = SmallLayers();
  layers[1].layer = 5;
  ASSERT_TRUE(
      WriteKvFile(path_, SmallProfile(), {key_.profile_id, key_.tokens, 17}, SmallProfile().kv_heads, layers)
          .ok());
  EXPECT_THAT(std::string(ReadKvLayers(path_, SmallProfile(), 3).status().message()),
              HasSubstr("no tensor \"layers.1.k\""));
}

TEST_F(KvTensorsTest, SaysWhichFileIsMissing) {
  EXPECT_EQ(ReadKvFileHeader("/nowhere/x").status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace larder::tools
