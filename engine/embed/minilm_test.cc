#include "engine/embed/minilm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <thread>

#include "absl/strings/str_cat.h"

namespace larder {
namespace {

using ::testing::HasSubstr;

constexpr size_t kDimension = 384;

// One for the whole program: opening takes a while. Opens as a collection would, and prints nothing.
const Embedder& MiniLm() {
  static const std::shared_ptr<Embedder> embedder = [] {
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    auto opened = OpenMiniLm("");
    EXPECT_EQ(::testing::internal::GetCapturedStdout(), "");
    EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
    if (!opened.ok()) ADD_FAILURE() << opened.status();
    return *std::move(opened);
  }();
  return *embedder;
}

std::vector<float> EmbedOrDie(const Embedder& embedder, const std::vector<std::string>& texts) {
  auto vectors = embedder.Embed(texts);
  if (!vectors.ok()) ADD_FAILURE() << vectors.status();
  return *std::move(vectors);
}

double Dot(const float* a, const float* b) {
  double sum = 0;
  for (size_t i = 0; i < kDimension; ++i) sum += double{a[i]} * b[i];
  return sum;
}

double MaxDifference(const float* a, const float* b) {
  double most = 0;
  for (size_t i = 0; i < kDimension; ++i) most = std::max<double>(most, std::fabs(a[i] - b[i]));
  return most;
}

std::string Words(size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) absl::StrAppend(&text, i % 7 == 0 ? "pantry " : "shelf ");
  return text;
}

TEST(MiniLm, SaysWhatItIs) {
  EXPECT_EQ(MiniLm().dimension(), 384);
  EXPECT_EQ(MiniLm().max_tokens(), 254);
  EXPECT_EQ(MiniLm().fingerprint(),
            "minilm:sha256=53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db");
  EXPECT_EQ(MiniLm().CountTokens("Embeddings!"), 5);  // em ##bed ##ding ##s !
}

TEST(MiniLm, ReferenceTexts) {
  const char* data = std::getenv("LARDER_SHARED_DATA");
  if (data == nullptr) return;  // the other tests stand without it
  const std::string directory = absl::StrCat(data, "/minilm-reference/");
  std::ifstream npy(directory + "vectors.npy", std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(npy), {}};
  ASSERT_THAT(bytes.substr(0, 128), HasSubstr("'descr': '<f4', 'fortran_order': False, 'shape': (300, 384)"));
  const float* reference = reinterpret_cast<const float*>(bytes.data() + bytes.size() - 300 * kDimension * 4);
  std::vector<std::string> texts;
  std::vector<const float*> expected;
  std::ifstream lines(directory + "texts.jsonl");
  std::string line;
  for (; std::getline(lines, line); reference += kDimension) {
    std::string text = nlohmann::json::parse(line)["text"];
    if (MiniLm().CountTokens(text) > MiniLm().max_tokens()) continue;  // its reference saw more of it
    texts.push_back(std::move(text));
    expected.push_back(reference);
  }
  ASSERT_GE(texts.size(), 40);
  for (const Precision precision : {Precision::kF32, Precision::kBf16}) {
    auto embedder = OpenMiniLmWith(DefaultModelDir(), precision);
    ASSERT_TRUE(embedder.ok()) << embedder.status();
    const std::vector<float> vectors = EmbedOrDie(**embedder, texts);
    double least = 1, sum = 0;
    for (size_t i = 0; i < texts.size(); ++i) {
      const double cosine = Dot(&vectors[i * kDimension], expected[i]);
      least = std::min(least, cosine);
      sum += cosine;
    }
    EXPECT_GE(least, precision == Precision::kF32 ? 0.99999 : 0.9998);
    RecordProperty(precision == Precision::kF32 ? "f32" : "bf16",
                   absl::StrCat("min ", least, " mean ", sum / texts.size()));
  }
}

}  // namespace
}  // namespace larder
