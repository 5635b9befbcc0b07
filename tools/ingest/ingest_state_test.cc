#include "tools/ingest/ingest_state.h"

#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tools/readers/test_files.h"

namespace larder::tools {
namespace {

using ::testing::HasSubstr;

const IngestJob kJob = {"docs", "settings"};

class IngestStateTest : public TestFiles {
 protected:
  std::unique_ptr<IngestState> Open(const IngestJob& job = kJob, bool forget = false) {
    auto state = IngestState::Open(path(), job, 100, forget);
    EXPECT_TRUE(state.ok()) << state.status();
    return state.ok() ? *std::move(state) : nullptr;
  }
  std::string path() const { return Path("deep/er/docs.journal"); }
  std::string Contents() const {
    std::ifstream file(path(), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
};

TEST_F(IngestStateTest, RemembersWhatItWasTold) {
  {
    auto state = Open();
    EXPECT_FALSE(state->started());
    ASSERT_TRUE(state->Record({{"a", {10, 1, 5, 2, false}}}, StoredDocument{"x", "t"}).ok());
    ASSERT_TRUE(
        state->Record({{"a", {10, 1, 0, 1, true}}, {"b", {20, 2, 7, 3, false}}}, StoredDocument{"y", ""})
            .ok());
    ASSERT_TRUE(state->Record({{"c", {0, 3, 0, 1, true}}}, {}).ok());
  }
  for (int round = 0; round < 2; ++round) {  // written anew each time it is opened
    auto state = Open();
    EXPECT_TRUE(state->started());
    EXPECT_EQ(state->window(), 100u);
    ASSERT_TRUE(state->Find("a").has_value());
    EXPECT_TRUE(state->Find("a")->done);
    EXPECT_EQ(state->Find("b")->offset, 7u);
    EXPECT_EQ(state->Find("b")->line, 3u);
    EXPECT_EQ(state->Find("b")->bytes, 20u);
    EXPECT_EQ(state->Find("b")->mtime_ns, 2);
    EXPECT_TRUE(state->Find("c").has_value());
    EXPECT_FALSE(state->Find("d").has_value());
    ASSERT_TRUE(state->last().has_value());
    EXPECT_EQ(state->last()->id, "y");
  }
}

TEST_F(IngestStateTest, ForgetsAnotherJobsAndWhatItIsToldToForget) {
  ASSERT_TRUE(Open()->Record({{"a", {}}}, StoredDocument{"x", ""}).ok());
  EXPECT_FALSE(Open({"docs", "other settings"})->started());
  ASSERT_TRUE(Open()->Record({{"a", {}}}, StoredDocument{"x", ""}).ok());
  EXPECT_TRUE(Open()->started());
  EXPECT_FALSE(Open(kJob, /*forget=*/true)->Find("a").has_value());
}

TEST_F(IngestStateTest, HoldsAtEveryTruncation) {
  {
    auto state = Open();
    for (uint64_t i = 1; i <= 5; ++i)
      ASSERT_TRUE(state->Record({{"a", {10, 1, i, i, false}}}, StoredDocument{"x", ""}).ok());
  }
  const std::string whole = Contents();
  for (size_t length = 0; length <= whole.size(); ++length) {
    Write("deep/er/docs.journal", absl::string_view(whole).substr(0, length));
    auto state = IngestState::Open(path(), kJob, 100, false);
    ASSERT_TRUE(state.ok()) << length << ": " << state.status();
    // As many records as the prefix holds: each line, its line end or not.
    const absl::string_view prefix = absl::string_view(whole).substr(0, length);
    uint64_t records = std::count(prefix.begin(), prefix.end(), '}');
    const auto found = (*state)->Find("a");
    EXPECT_EQ(found ? found->offset : 0, records == 0 ? 0 : records - 1) << length;
  }
}

TEST_F(IngestStateTest, NamesADamagedLine) {
  { ASSERT_TRUE(Open()->Record({{"a", {}}, {"b", {}}}, {}).ok()); }
  std::string bytes = Contents();
  const size_t second = bytes.find('\n') + 1;
  bytes[second] = 'x';
  Write("deep/er/docs.journal", bytes);
  auto state = IngestState::Open(path(), kJob, 100, false);
  EXPECT_EQ(state.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(state.status().message()),
              HasSubstr("docs.journal:2: expected a line of the journal"));
  EXPECT_TRUE(IngestState::Open(path(), kJob, 100, true).ok());
}

TEST_F(IngestStateTest, BelongsToOneIngestion) {
  auto state = Open();
  EXPECT_EQ(IngestState::Open(path(), kJob, 100, false).status().code(), absl::StatusCode::kUnavailable);
  state.reset();
  EXPECT_TRUE(IngestState::Open(path(), kJob, 100, false).ok());
}

TEST_F(IngestStateTest, KeepsTheWiderWindow) {
  { auto state = IngestState::Open(path(), kJob, 1000, false); }
  { auto state = IngestState::Open(path(), kJob, 10, false); }
  EXPECT_EQ(Open()->window(), 1000u);
}

}  // namespace
}  // namespace larder::tools
