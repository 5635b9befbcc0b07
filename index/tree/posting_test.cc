#include "index/tree/posting.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "absl/strings/escaping.h"
#include "index/test_vectors.h"
#include "index/vector_math.h"
#include "storage/crc32c.h"

namespace larder::index {
namespace {

double Exact(const float* q, const float* x, size_t n, Metric metric) {
  double dot = 0, squares = 0;
  for (size_t i = 0; i < n; ++i) {
    dot += double{q[i]} * x[i];
    squares += (double{q[i]} - x[i]) * (double{q[i]} - x[i]);
  }
  return metric == Metric::kL2 ? squares : (metric == Metric::kCosine ? 1 : 0) - dot;
}

struct Sample {
  std::vector<float> rows, query, anchor;
  std::vector<uint8_t> coded;
};

Sample MakeSample(const PostingCode& code, size_t count, uint64_t seed) {
  const uint32_t n = code.options().dimension;
  Sample sample;
  sample.rows = ClusteredVectors(count, n, seed);
  sample.query = ClusteredVectors(1, n, seed + 1);
  sample.anchor.assign(n, 0);
  for (size_t i = 0; i < count; ++i) Canonicalize({&sample.rows[i * n], n}, code.options().metric, &sample.rows[i * n]);
  Canonicalize(sample.query, code.options().metric, sample.query.data());
  for (size_t i = 0; i < count * n; ++i) sample.anchor[i % n] += sample.rows[i] / static_cast<float>(count);
  sample.coded.resize(count * code.row_bytes());
  std::vector<float> rotated(n), centre(n);
  code.Rotate(sample.anchor.data(), centre.data());
  for (size_t i = 0; i < count; ++i) {
    code.Rotate(&sample.rows[i * n], rotated.data());
    code.Encode(rotated.data(), centre.data(),
                {.vid = 1000 + i, .group = static_cast<uint32_t>(7 + i), .slot = static_cast<uint16_t>(3 * i)},
                &sample.coded[i * code.row_bytes()]);
  }
  return sample;
}

TEST(Posting, EstimatesLieWithinTheirBoundsAndBitsHelp) {
  for (const Metric metric : {Metric::kCosine, Metric::kDot, Metric::kL2}) {
    for (const uint32_t dimension : {20u, 100u, 384u}) {
      double last = 1e30;
      for (uint32_t bits = 1; bits <= 6; ++bits) {
        SCOPED_TRACE(testing::Message() << "metric " << static_cast<int>(metric) << ", " << dimension << " dimensions, "
                                        << bits << " bits");
        const PostingCode code({.dimension = dimension, .metric = metric, .bits = bits});
        constexpr size_t kRows = 500;
        const Sample sample = MakeSample(code, kRows, 5);
        const std::string bytes = EncodePosting(code, 9, sample.coded.data(), kRows);
        const auto posting = Posting::Parse(code, bytes, "p");
        ASSERT_TRUE(posting.ok()) << posting.status();
        PostingQuery query;
        code.Prepare(sample.query.data(), &query);
        const auto terms = code.Against(query, sample.anchor.data());
        size_t within = 0;
        double squares = 0;
        for (size_t b = 0; b < posting->blocks(); ++b) {
          float distances[32];
          code.EstimateBlock(query, terms, posting->block(b), distances);
          for (size_t i = 0; i < posting->lanes(b); ++i) {
            const double off = distances[i] - Exact(sample.query.data(), &sample.rows[(32 * b + i) * dimension], dimension, metric);
            within += std::abs(off) <= code.ErrorBound(query, terms, posting->block(b), i);
            squares += off * off;
          }
        }
        EXPECT_GE(within, kRows * 90 / 100);
        const double rms = std::sqrt(squares / kRows);
        EXPECT_LT(rms, 0.75 * last) << "a bit more halves the error, nearly";
        last = rms;
      }
    }
  }
}

TEST(Posting, GivesBackRowsAndPlaces) {
  const PostingCode code({.dimension = 37, .metric = Metric::kCosine, .bits = 3});
  for (const size_t count : {0, 1, 31, 32, 33, 100}) {
    const Sample sample = MakeSample(code, count + 1, 8);
    const std::string bytes = EncodePosting(code, 4, sample.coded.data(), count);
    const auto posting = Posting::Parse(code, bytes, "p");
    ASSERT_TRUE(posting.ok());
    EXPECT_EQ(posting->entries(), count);
    EXPECT_EQ(posting->anchor(), 4u);
    std::vector<uint8_t> row(code.row_bytes());
    for (size_t i = 0; i < count; ++i) {
      const EntryPlace expected{1000 + i, static_cast<uint32_t>(7 + i), static_cast<uint16_t>(3 * i)};
      EXPECT_EQ(posting->place(i), expected);
      posting->Row(i, row.data());
      EXPECT_EQ(PlaceOfRow(code, row.data()), expected);
      EXPECT_EQ(std::memcmp(row.data(), &sample.coded[i * code.row_bytes()], row.size()), 0) << i;
    }
  }
}

TEST(Posting, OfIdenticalVectorsHasNoNan) {
  const PostingCode code({.dimension = 16, .metric = Metric::kL2, .bits = 2});
  const std::vector<float> vector(16, 0.5f);
  std::vector<uint8_t> row(code.row_bytes());
  std::vector<float> rotated(16);
  code.Rotate(vector.data(), rotated.data());
  code.Encode(rotated.data(), rotated.data(), {}, row.data());
  const std::string bytes = EncodePosting(code, 0, row.data(), 1);
  PostingQuery query;
  code.Prepare(vector.data(), &query);
  float distances[32];
  const auto posting = Posting::Parse(code, bytes, "p");
  const auto terms = code.Against(query, vector.data());
  code.EstimateBlock(query, terms, posting->block(0), distances);
  EXPECT_NEAR(distances[0], 0, 1e-5);
  EXPECT_NEAR(code.ErrorBound(query, terms, posting->block(0), 0), 0, 1e-5);
}

TEST(Posting, RefusesHostileBytes) {
  const PostingCode code({.dimension = 37, .metric = Metric::kCosine, .bits = 3});
  const Sample sample = MakeSample(code, 40, 8);
  const std::string good = EncodePosting(code, 4, sample.coded.data(), 40);
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_TRUE(absl::IsDataLoss(Posting::Parse(code, good.substr(0, size), "p").status())) << size;
  }
  EXPECT_TRUE(absl::IsDataLoss(Posting::Parse(code, good + '\0', "p").status()));
  for (const size_t at : {0, 7, 8, 9, 12, 13, 15, 17, 18, 19}) {
    std::string bad = good;
    bad[at] ^= 0x41;
    EXPECT_TRUE(absl::IsDataLoss(Posting::Parse(code, bad, "p").status())) << at;
  }
}

// A failure here means that stored postings can no longer be read: give the format a new version.
TEST(Posting, GrowsAtItsEndByteForByte) {
  const PostingCode code({.dimension = 40, .metric = Metric::kL2, .bits = 2});
  const Sample sample = MakeSample(code, 80, 3);
  for (const size_t first : {1u, 15u, 16u, 31u, 32u, 33u, 64u}) {
    for (const size_t more : {0u, 1u, 2u, 16u}) {
      const std::string grown = AppendToPosting(code, EncodePosting(code, 5, sample.coded.data(), first),
                                                &sample.coded[first * code.row_bytes()], more);
      EXPECT_EQ(grown, EncodePosting(code, 5, sample.coded.data(), first + more)) << first << " + " << more;
    }
  }
  std::vector<uint8_t> row(sample.coded.begin(), sample.coded.begin() + static_cast<ptrdiff_t>(code.row_bytes()));
  const EntryPlace place{.vid = 1ull << 40, .group = 9, .slot = 65535};
  SetPlaceOfRow(code, place, row.data());
  EXPECT_EQ(PlaceOfRow(code, row.data()), place);
}

TEST(Posting, GoldenBytes) {
  const PostingCode code({.dimension = 20, .metric = Metric::kCosine, .bits = 2, .seed = 42});
  std::vector<float> rows(33 * 20);
  uint32_t state = 12345;
  for (float& value : rows) {
    state = state * 1664525 + 1013904223;
    value = static_cast<float>(static_cast<int32_t>(state >> 20) - 2048) / 1024;
  }
  std::vector<uint8_t> coded(33 * code.row_bytes());
  std::vector<float> rotated(33 * 20);
  for (size_t i = 0; i < 33; ++i) {
    code.Rotate(&rows[i * 20], &rotated[i * 20]);
    code.Encode(&rotated[i * 20], rotated.data(), {.vid = i, .group = 2, .slot = static_cast<uint16_t>(i)}, &coded[i * code.row_bytes()]);
  }
  const std::string bytes = EncodePosting(code, 5, coded.data(), 33);
  EXPECT_EQ(bytes.size(), 32u + 2 * (2 * 16 * 8 + 32 * 24));
  EXPECT_EQ(absl::BytesToHexString(bytes.substr(0, 32)), "4c4452504f53540a0102000014000000210000000500000000000000" "00000000");
  EXPECT_EQ(absl::BytesToHexString(absl::string_view(reinterpret_cast<char*>(&coded[code.row_bytes()]), code.row_bytes())),
            "d3a5070026e60d00cac9df3f155231bf813b0100000000000000020000000100");
  EXPECT_EQ(storage::Crc32c(bytes), 912772697u);
}

}  // namespace
}  // namespace larder::index
