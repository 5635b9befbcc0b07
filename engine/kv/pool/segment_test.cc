#include "engine/kv/pool/segment.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

namespace larder::kv {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint64_t kBytes = 2 * kHugePage;

// An entry of two payloads at the first place there is.
EntryPlace PutEntry(Segment* segment, uint64_t generation, const std::string& k, const std::string& v,
                    uint32_t slot = 0) {
  const std::vector<uint64_t> lengths = {k.size(), v.size()};
  const EntryPlace place{slot, generation, FirstEntryOffset(SlotsFor(segment->bytes())), EntryBytes(lengths)};
  segment->WriteTable(place, lengths);
  segment->WritePayload(place, 0, k);
  segment->WritePayload(place, 1, v);
  segment->Publish(place, std::string(32, 'h'));
  return place;
}

TEST(Segment, IsReadElsewhereAsItWasWritten) {
  const auto segment = *Segment::Create(5, kBytes);
  const std::string k(5'000, 'k'), v(100, 'v');
  const EntryPlace place = PutEntry(segment.get(), 9, k, v);
  const auto map = *SegmentMap::Map(segment->fd(), 5, kBytes);
  ASSERT_NE(map->base(), segment->map().base());
  EXPECT_TRUE(map->Holds(place));
  const auto payloads = *map->Payloads(place, 2);
  EXPECT_THAT(payloads, ElementsAre(k, v));
  for (const absl::string_view payload : payloads) {
    EXPECT_EQ((payload.data() - reinterpret_cast<const char*>(map->base())) % kSegmentPage, 0);
  }
}

TEST(Segment, TellsThatAnEntryIsGone) {
  const auto segment = *Segment::Create(1, kBytes);
  const EntryPlace place = PutEntry(segment.get(), 1, "old k", "old v");
  segment->Clear(place.slot);
  EXPECT_FALSE(segment->map().Holds(place));
  EXPECT_EQ(segment->map().Payloads(place, 2).status().code(), absl::StatusCode::kFailedPrecondition);
  const EntryPlace next = PutEntry(segment.get(), 2, "new k", "new v");
  ASSERT_EQ(next.offset, place.offset);
  EXPECT_FALSE(segment->map().Holds(place)) << "another entry in the same slot";
  EXPECT_TRUE(segment->map().Holds(next));
}

// Whoever is given the descriptor: nothing lets them change what others read.
TEST(Segment, CannotBeWrittenToByThoseWhoAreGivenIt) {
  const auto segment = *Segment::Create(1, kBytes);
  EXPECT_EQ(::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, segment->fd(), 0), MAP_FAILED);
  const auto map = *SegmentMap::Map(segment->fd(), 1, kBytes);
  EXPECT_NE(::mprotect(const_cast<std::byte*>(map->base()), kBytes, PROT_READ | PROT_WRITE), 0);
  EXPECT_EQ(::pwrite(segment->fd(), "x", 1, 0), -1);
  EXPECT_NE(::ftruncate(segment->fd(), 0), 0);
  EXPECT_NE(::fallocate(segment->fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4'096), 0);
  const std::string again = "/proc/self/fd/" + std::to_string(segment->fd());
  const storage::Descriptor reopened(::open(again.c_str(), O_RDWR | O_CLOEXEC));
  EXPECT_EQ(::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, reopened.get(), 0), MAP_FAILED);
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(const_cast<std::byte*>(map->base())[0] = std::byte{1}, "");
}

TEST(SegmentMap, RefusesWhatIsNoSegment) {
  const auto segment = *Segment::Create(1, kBytes);
  const auto refused = [](int fd, uint64_t id, uint64_t bytes) {
    const auto map = SegmentMap::Map(fd, id, bytes);
    EXPECT_EQ(map.status().code(), absl::StatusCode::kFailedPrecondition) << map.status();
    return std::string(map.status().message());
  };
  EXPECT_THAT(refused(segment->fd(), 2, kBytes), HasSubstr("id is 1, expected 2"));
  EXPECT_THAT(refused(segment->fd(), 1, 2 * kBytes), HasSubstr("file's size is 4194304, expected 8388608"));
  EXPECT_THAT(refused(-1, 1, kBytes), HasSubstr("fstat"));
  const storage::Descriptor unsealed(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(unsealed.get(), kBytes), 0);
  EXPECT_THAT(refused(unsealed.get(), 1, kBytes), HasSubstr("no seal against shrinking"));
  ASSERT_EQ(::fcntl(unsealed.get(), F_ADD_SEALS, F_SEAL_SHRINK), 0);
  EXPECT_THAT(refused(unsealed.get(), 1, kBytes), HasSubstr("magic is 0"));
}

// A server that says nonsense must not make its reader read outside the mapping.
TEST(SegmentMap, ChecksEverySizeOfAnEntry) {
  const auto segment = *Segment::Create(1, kBytes);
  const EntryPlace place = PutEntry(segment.get(), 1, "k", "v");
  const SegmentMap& map = segment->map();
  const auto code = [&](EntryPlace changed, uint32_t count) { return map.Payloads(changed, count).status().code(); };
  EXPECT_EQ(code(place, 2), absl::StatusCode::kOk);
  EXPECT_EQ(code(place, 4), absl::StatusCode::kDataLoss);
  EXPECT_EQ(code(place, UINT32_MAX), absl::StatusCode::kDataLoss);
  EXPECT_EQ(code({place.slot, 1, place.offset, UINT64_MAX}, 2), absl::StatusCode::kDataLoss);
  EXPECT_EQ(code({place.slot, 1, UINT64_MAX - 4'095, place.length}, 2), absl::StatusCode::kDataLoss);
  EXPECT_EQ(code({place.slot, 1, place.offset + 1, place.length}, 2), absl::StatusCode::kDataLoss);
  EXPECT_EQ(code({place.slot, 1, place.offset, kSegmentPage}, 2), absl::StatusCode::kDataLoss);
  EXPECT_EQ(code({UINT32_MAX, 1, place.offset, place.length}, 2), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(code({place.slot, 0, place.offset, place.length}, 2), absl::StatusCode::kFailedPrecondition);
}

TEST(Segment, SaysWhenItIsRetired) {
  const auto segment = *Segment::Create(1, kBytes);
  const auto map = *SegmentMap::Map(segment->fd(), 1, kBytes);
  EXPECT_FALSE(map->retired());
  segment->Retire();
  EXPECT_TRUE(map->retired());
}

TEST(Segment, LiesInHugePagesAsFarAsItSays) {
  const auto segment = *Segment::Create(1, 4 * kHugePage);
  EXPECT_LE(segment->huge_bytes(), segment->bytes());
  EXPECT_EQ(segment->huge_bytes() % kHugePage, 0u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(segment->map().base()) % kHugePage, 0u);
  RecordProperty("huge_bytes", static_cast<int>(segment->huge_bytes()));
}

}  // namespace
}  // namespace larder::kv
