#include "engine/embed/minilm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

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

const char* const kSentences[] = {
    "The cook keeps dried beans in the larder.",
    "Pulses are stored in the pantry by the chef.",
    "The spacecraft entered orbit around Mars.",
};

// Made once in f32, by an embedder that agreed with the reference texts.
constexpr float kGolden[3][8] = {
    {-0.037846f, 0.033634f, -0.033219f, 0.104329f, 0.008558f, 0.015203f, -0.021623f, -0.067431f},
    {-0.033069f, 0.011641f, -0.124441f, 0.098627f, -0.030490f, 0.002915f, 0.020306f, -0.054006f},
    {0.059793f, 0.039796f, -0.046568f, 0.056752f, 0.024716f, -0.061722f, 0.017217f, 0.019204f},
};

TEST(MiniLm, GoldenVectors) {
  auto exact = OpenMiniLmWith(DefaultModelDir(), Precision::kF32);
  ASSERT_TRUE(exact.ok()) << exact.status();
  const std::vector<std::string> texts(std::begin(kSentences), std::end(kSentences));
  const std::vector<float> vectors = EmbedOrDie(**exact, texts);
  const std::vector<float> usual = EmbedOrDie(MiniLm(), texts);  // perhaps in bf16
  ASSERT_EQ(vectors.size(), 3 * kDimension);
  for (int row = 0; row < 3; ++row) {
    const float* vector = &vectors[row * kDimension];
    for (int i = 0; i < 8; ++i) EXPECT_NEAR(vector[i], kGolden[row][i], 1e-5) << row << ' ' << i;
    EXPECT_NEAR(Dot(vector, vector), 1, 1e-5);
    EXPECT_GE(Dot(vector, &usual[row * kDimension]), 0.9998);
  }
  const double alike = Dot(&vectors[0], &vectors[kDimension]);
  EXPECT_GT(alike, 0.4);
  EXPECT_LT(Dot(&vectors[0], &vectors[2 * kDimension]), 0.2);
  EXPECT_LT(Dot(&vectors[kDimension], &vectors[2 * kDimension]), 0.2);
}

TEST(MiniLm, ATextDoesNotDependOnItsCompany) {
  std::vector<std::string> texts;
  for (size_t words : {1, 5, 6, 7, 8, 9, 30, 31, 6, 6, 14, 100, 254, 300}) texts.push_back(Words(words));
  for (const char* sentence : kSentences) texts.push_back(sentence);
  const std::vector<float> together = EmbedOrDie(MiniLm(), texts);
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::vector<float> alone = EmbedOrDie(MiniLm(), {texts[i]});
    EXPECT_LE(MaxDifference(alone.data(), &together[i * kDimension]), 1e-5) << i;
  }
}

TEST(MiniLm, CutsWhatIsBeyondTheWindow) {
  EXPECT_EQ(MiniLm().CountTokens(Words(254)), 254);
  const std::vector<float> vectors = EmbedOrDie(MiniLm(), {Words(254), Words(255), Words(5000), Words(253)});
  EXPECT_EQ(MaxDifference(&vectors[0], &vectors[kDimension]), 0);
  EXPECT_EQ(MaxDifference(&vectors[0], &vectors[2 * kDimension]), 0);
  EXPECT_GT(MaxDifference(&vectors[0], &vectors[3 * kDimension]), 1e-4);
}

TEST(MiniLm, TakesAnyBytes) {
  EXPECT_TRUE(EmbedOrDie(MiniLm(), {}).empty());
  const std::vector<float> vectors = EmbedOrDie(
      MiniLm(), {"", " \n", "\xff\xfe", std::string("\0", 1), "北京 \xe2\x82", std::string(5000, 'x')});
  for (size_t row = 0; row < 6; ++row) {
    EXPECT_NEAR(Dot(&vectors[row * kDimension], &vectors[row * kDimension]), 1, 1e-5) << row;
  }
  EXPECT_EQ(MaxDifference(&vectors[0], &vectors[2 * kDimension]), 0);  // nothing is left of either
}

TEST(MiniLm, ManyThreads) {
  std::vector<std::string> texts;
  for (size_t words = 1; words < 40; words += 3) texts.push_back(Words(words));
  const std::vector<float> expected = EmbedOrDie(MiniLm(), texts);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int round = 0; round < 3; ++round) {
        const auto vectors = MiniLm().Embed(texts);
        ASSERT_TRUE(vectors.ok()) << vectors.status();
        for (size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR((*vectors)[i], expected[i], 1e-5);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

class MiniLmFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "minilm_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  void Link(const std::string& file) {
    std::filesystem::create_symlink(DefaultModelDir() + "/" + file, directory_ + "/" + file);
  }
  void ExpectFault(absl::StatusCode code, const std::string& message) {
    const auto embedder = OpenMiniLm(directory_);
    EXPECT_EQ(embedder.status().code(), code) << embedder.status();
    EXPECT_THAT(embedder.status().message(), HasSubstr(message));
  }
  std::string directory_;
};

TEST_F(MiniLmFiles, SaysWhatIsMissing) {
  ExpectFault(absl::StatusCode::kNotFound, "no vocab.txt");
  Link("vocab.txt");
  ExpectFault(absl::StatusCode::kNotFound, "no model.safetensors");
  ExpectFault(absl::StatusCode::kNotFound, "LARDER_MODEL_DIR");
}

TEST_F(MiniLmFiles, RefusesOtherWeights) {
  Link("vocab.txt");
  ASSERT_TRUE(WriteSafetensors(directory_ + "/model.safetensors", {}, {}).ok());
  ExpectFault(absl::StatusCode::kDataLoss, "model.safetensors: SHA-256 is ");
}

TEST_F(MiniLmFiles, RefusesAnotherVocabulary) {
  Link("model.safetensors");
  std::ofstream(directory_ + "/vocab.txt") << "[UNK]\n[CLS]\n[SEP]\n";
  ExpectFault(absl::StatusCode::kDataLoss, "vocab.txt: SHA-256 is ");
}

TEST_F(MiniLmFiles, RefusesWeightsOfAnotherShape) {
  const std::string path = directory_ + "/x";
  ASSERT_TRUE(WriteSafetensors(path, {TensorView{"t", "I8", {1}, "1"}}, {}).ok());
  const auto runtime = MiniLmRuntime::Create(*SafetensorsFile::Open(path), Precision::kF32);
  EXPECT_EQ(runtime.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(runtime.status().message(),
              HasSubstr("expected embeddings.word_embeddings.weight F32[30522,384], found none"));
}

TEST(MiniLmPrecision, TheEnvironmentOverrides) {
  ::setenv("LARDER_MINILM_PRECISION", "f32", 1);
  EXPECT_EQ(*ChooseMiniLmPrecision(), Precision::kF32);
  ::setenv("LARDER_MINILM_PRECISION", "bf16", 1);
  EXPECT_EQ(*ChooseMiniLmPrecision(), Precision::kBf16);
  ::setenv("LARDER_MINILM_PRECISION", "fp8", 1);
  EXPECT_EQ(ChooseMiniLmPrecision().status().code(), absl::StatusCode::kInvalidArgument);
  ::unsetenv("LARDER_MINILM_PRECISION");
  EXPECT_TRUE(ChooseMiniLmPrecision().ok());
}

TEST(DefaultModelDir, TheEnvironmentComesFirst) {
  const char* before = std::getenv("LARDER_MODEL_DIR");
  const std::string saved = before == nullptr ? "" : before;
  ::setenv("LARDER_MODEL_DIR", "elsewhere", 1);
  EXPECT_EQ(DefaultModelDir(), "elsewhere");
  ::setenv("LARDER_MODEL_DIR", saved.c_str(), 1);  // "" counts as unset
  EXPECT_NE(DefaultModelDir(), "elsewhere");
  EXPECT_NE(DefaultModelDir(), "");
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
