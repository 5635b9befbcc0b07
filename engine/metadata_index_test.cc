#include "engine/metadata_index.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "engine/keys.h"
#include "tests/support/temp_dir.h"

namespace larder {
namespace {

using storage::Table;

constexpr uint32_t kCollection = 9;

// Values that lie close together where encodings go wrong.
Scalar RandomScalar(std::mt19937_64& random) {
  static const std::vector<Scalar> kScalars = {
      Scalar(true), Scalar(false), Scalar(int64_t{0}), Scalar(0.0), Scalar(-0.0), Scalar(int64_t{1}), Scalar(1.0),
      Scalar(1.5), Scalar(int64_t{-1}), Scalar(int64_t{1} << 53), Scalar((int64_t{1} << 53) + 1),
      Scalar(9007199254740992.0), Scalar(INT64_MAX), Scalar(INT64_MAX - 1), Scalar(INT64_MIN),
      Scalar(9223372036854775808.0), Scalar(1e300), Scalar(-1e300), Scalar(5e-324), Scalar(std::string()),
      Scalar(std::string("a")), Scalar(std::string("ab")), Scalar(std::string("b")), Scalar(std::string("1")),
      Scalar(std::string(512, 'x')), Scalar(std::string(513, 'x')), Scalar(std::string(512, 'x') + "y"),
      Scalar(std::string("\xc3\xa9"))};
  return kScalars[random() % kScalars.size()];
}

const char* kFields[] = {"f", "g", "f\x01", "h"};

Metadata RandomMetadata(std::mt19937_64& random) {
  Metadata metadata;
  for (const char* field : kFields) {
    const int kind = random() % 4;
    if (kind == 0) continue;
    if (kind < 3) {
      metadata.emplace(field, MetadataValue(RandomScalar(random)));
      continue;
    }
    std::vector<Scalar> list;
    for (size_t i = random() % 3; i > 0; --i) list.push_back(RandomScalar(random));
    metadata.emplace(field, MetadataValue(std::move(list)));
  }
  return metadata;
}

Filter RandomFilter(std::mt19937_64& random, int depth) {
  using Op = Filter::Op;
  Filter filter;
  if (depth > 0 && random() % 2 == 0) {
    filter.op = std::vector<Op>{Op::kAnd, Op::kOr, Op::kNot}[random() % 3];
    for (size_t i = filter.op == Op::kNot ? 1 : 1 + random() % 3; i > 0; --i) {
      filter.children.push_back(RandomFilter(random, depth - 1));
    }
    return filter;
  }
  filter.field = kFields[random() % 4];
  filter.op = std::vector<Op>{Op::kEq, Op::kNe, Op::kLt, Op::kLe, Op::kGt, Op::kGe, Op::kIn, Op::kExists,
                              Op::kPrefix}[random() % 9];
  if (filter.op == Op::kExists) return filter;
  for (size_t i = filter.op == Op::kIn ? 1 + random() % 3 : 1; i > 0; --i) filter.values.push_back(RandomScalar(random));
  if (filter.op == Op::kPrefix) {
    filter.values = {Scalar(std::vector<std::string>{"", "a", "x", std::string(513, 'x')}[random() % 4])};
  }
  return filter;
}

class MetadataIndexTest : public ::testing::Test {
 protected:
  void SetUp() override {
    storage::StoreOptions options;
    options.create_if_missing = true;
    store_ = *storage::Store::Open(dir_ / "db", options);
    postings_ = std::make_unique<PostingCache>(*store_, 64 << 20);
  }
  void Remove(uint64_t vid, const std::string& tenant = "") {
    storage::WriteBatch batch;
    for (const std::string& key : FieldKeys(kCollection, tenant, metadata_.at(vid), vid)) batch.Delete(Table::kFields, key);
    ASSERT_TRUE(store_->Write(std::move(batch), false).ok());
    live_.Remove(vid);
    metadata_.erase(vid);
    postings_->NoteRemoved(1, live_.size());
  }
  index::VidSet Expected(const Filter& filter) const {
    index::VidSet expected;
    for (const auto& [vid, metadata] : metadata_) {
      if (Matches(filter, metadata)) expected.Add(vid);
    }
    return expected;
  }
  void Put(uint64_t vid, Metadata metadata, const std::string& tenant = "") {
    storage::WriteBatch batch;
    const std::vector<std::string> keys = FieldKeys(kCollection, tenant, metadata, vid);
    for (const std::string& key : keys) batch.Put(Table::kFields, key, "");
    ASSERT_TRUE(store_->Write(std::move(batch), false).ok());
    postings_->Add(keys);
    live_.Add(vid);
    metadata_[vid] = std::move(metadata);
  }
  FilterCompiler Compiler() {
    return FilterCompiler(postings_.get(), kCollection, live_,
                          [this](uint64_t vid) -> absl::StatusOr<Metadata> { return metadata_.at(vid); });
  }

  std::vector<std::string> added_;
  testing::TempDir dir_;
  std::unique_ptr<storage::Store> store_;
  std::unique_ptr<PostingCache> postings_;
  index::VidSet live_;
  std::map<uint64_t, Metadata> metadata_;
};

TEST_F(MetadataIndexTest, CompiledFiltersEqualTheDefinition) {
  constexpr uint64_t kSeed = 20261122;
  std::mt19937_64 random(kSeed);
  for (uint64_t vid = 1; vid <= 300; ++vid) Put(vid * 7, RandomMetadata(random));
  uint64_t matched = 0;
  for (int round = 0; round < 2000; ++round) {
    const Filter filter = RandomFilter(random, 3);
    ASSERT_TRUE(ValidateFilter(filter).ok()) << FilterToString(filter) << ValidateFilter(filter);
    const auto compiled = Compiler().Compile(filter);
    ASSERT_TRUE(compiled.ok()) << compiled.status();
    index::VidSet expected;
    for (const auto& [vid, metadata] : metadata_) {
      if (Matches(filter, metadata)) expected.Add(vid);
    }
    matched += expected.size();
    ASSERT_EQ(*compiled, expected) << "seed " << kSeed << ", round " << round << ": " << FilterToString(filter);
  }
  EXPECT_GT(matched, 10'000u);
}

// Filters are compiled again and again while rows come and go: from a cache that holds all, and from one that holds
// next to nothing.
TEST_F(MetadataIndexTest, TheCacheFollowsWrites) {
  for (const uint64_t bytes : {64 << 20, 20 << 10}) {
    SCOPED_TRACE(bytes);
    postings_ = std::make_unique<PostingCache>(*store_, bytes);
    std::mt19937_64 random(bytes);
    std::vector<Filter> filters;
    for (int i = 0; i < 60; ++i) filters.push_back(RandomFilter(random, 2));
    uint64_t next = bytes;
    for (int step = 0; step < 3000; ++step) {
      const int kind = random() % 4;
      if (kind == 0) Put(next++, RandomMetadata(random));
      if (kind == 1 && metadata_.size() > 50) {
        auto victim = metadata_.begin();
        std::advance(victim, random() % metadata_.size());
        Remove(victim->first);
      }
      const Filter& filter = filters[random() % filters.size()];
      const auto compiled = Compiler().Compile(filter);
      ASSERT_TRUE(compiled.ok()) << compiled.status();
      ASSERT_EQ(*compiled, Expected(filter)) << "step " << step << ": " << FilterToString(filter);
      ASSERT_LE(postings_->bytes(), bytes + 8192);  // what is in use may be more than the bound by itself
    }
  }
}

// Windows over enough numbers that bitmaps of many rows are used, with numbers added one by one.
TEST_F(MetadataIndexTest, WindowsOfAnyWidth) {
  std::mt19937_64 random(3);
  std::vector<std::pair<int64_t, uint64_t>> rows;
  uint64_t vid = 1;
  const auto put = [&](int count) {
    storage::WriteBatch batch;
    for (int i = 0; i < count; ++i, ++vid) {
      const int64_t value = static_cast<int64_t>(random() % 50'000) - 10'000;
      const std::vector<std::string> keys = FieldKeys(kCollection, "", {{"t", MetadataValue(value)}}, vid);
      for (const std::string& key : keys) batch.Put(Table::kFields, key, "");
      rows.emplace_back(value, vid);
      live_.Add(vid);
      added_.insert(added_.end(), keys.begin(), keys.end());
    }
    ASSERT_TRUE(store_->Write(std::move(batch), false).ok());
    postings_->Add(added_);
    added_.clear();
  };
  put(20'000);
  for (int round = 0; round < 200; ++round) {
    const int64_t a = static_cast<int64_t>(random() % 52'000) - 11'000, b = a + static_cast<int64_t>(random() % 30'000);
    const std::string text = "t >= " + std::to_string(a) + " and t < " + std::to_string(b);
    index::VidSet expected;
    for (const auto& [value, one] : rows) {
      if (value >= a && value < b) expected.Add(one);
    }
    const auto compiled = Compiler().Compile(*ParseFilter(text));
    ASSERT_TRUE(compiled.ok()) << compiled.status();
    ASSERT_EQ(*compiled, expected) << text << ": " << compiled->size() << " of " << expected.size();
    put(round % 50 == 0 ? 5'000 : 3);
  }
  // A vid with two numbers: each bound may be met by another.
  const std::vector<std::string> keys = FieldKeys(
      kCollection, "", {{"t", MetadataValue(std::vector<Scalar>{Scalar(int64_t{-20'000}), Scalar(int64_t{90'000})})}}, vid);
  storage::WriteBatch batch;
  for (const std::string& key : keys) batch.Put(Table::kFields, key, "");
  ASSERT_TRUE(store_->Write(std::move(batch), false).ok());
  postings_->Add(keys);
  live_.Add(vid);
  const auto both = Compiler().Compile(*ParseFilter("t > 80000 and t < -15000"));
  ASSERT_TRUE(both.ok());
  EXPECT_EQ(both->size(), 1u);
  EXPECT_TRUE(both->Contains(vid));
}

TEST_F(MetadataIndexTest, TenantsAreApart) {
  Put(1, {{"f", 1}});
  Put(2, {{"f", 1}}, "red");
  Put(3, {{"f", 1}}, "blue");
  EXPECT_EQ(Compiler().CompileTenant("red")->size(), 1u);
  EXPECT_TRUE(Compiler().CompileTenant("red")->Contains(2));
  EXPECT_TRUE(Compiler().CompileTenant("")->Contains(1));
  EXPECT_EQ(Compiler().CompileTenant("")->size(), 1u);
  EXPECT_EQ(Compiler().CompileTenant("green")->size(), 0u);
}

}  // namespace
}  // namespace larder
