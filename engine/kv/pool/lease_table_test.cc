#include "engine/kv/pool/lease_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace larder::kv {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

PoolEntry* Entry(uintptr_t number) { return reinterpret_cast<PoolEntry*>(number * 64); }
absl::Time At(int second) { return absl::FromUnixSeconds(second); }

TEST(LeaseTable, EndsWhatIsNotRenewed) {
  LeaseTable table;
  const LeaseId a = table.Add(1, Entry(1), 10, At(10));
  const LeaseId b = table.Add(1, Entry(2), 10, At(10));
  table.Add(2, Entry(3), 10, At(30));
  EXPECT_THAT(table.RemoveExpired(At(9)), IsEmpty());
  ASSERT_TRUE(table.Renew(1, b, At(20)).ok());
  EXPECT_THAT(table.RemoveExpired(At(10)), ElementsAre(Entry(1)));
  EXPECT_THAT(table.RemoveExpired(At(19)), IsEmpty());
  EXPECT_THAT(table.RemoveExpired(At(40)), UnorderedElementsAre(Entry(2), Entry(3)));
  EXPECT_EQ(table.size(), 0u);
  const absl::Status late = table.Renew(1, a, At(50));
  EXPECT_EQ(late.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(late.message()), HasSubstr("kv lease 1 has ended"));
}

TEST(LeaseTable, KeepsClientsApart) {
  LeaseTable table;
  const LeaseId lease = table.Add(1, Entry(1), 10, At(10));
  EXPECT_EQ(table.Renew(2, lease, At(20)).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(table.Remove(2, lease).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(table.RemoveClient(2), IsEmpty());
  EXPECT_EQ(*table.Remove(1, lease), Entry(1));
  EXPECT_EQ(table.Remove(1, lease).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(LeaseTable, CountsWhatAClientHolds) {
  LeaseTable table;
  const LeaseId lease = table.Add(1, Entry(1), 10, At(10));
  table.Add(1, Entry(1), 10, At(20));
  table.Add(2, Entry(1), 5, At(20));
  EXPECT_EQ(table.CountOf(1), 2u);
  EXPECT_EQ(table.BytesOf(1), 20u);
  ASSERT_TRUE(table.Remove(1, lease).ok());
  EXPECT_EQ(table.BytesOf(1), 10u);
  EXPECT_THAT(table.RemoveClient(1), ElementsAre(Entry(1)));
  EXPECT_EQ(table.CountOf(1), 0u);
  EXPECT_EQ(table.BytesOf(1), 0u);
  EXPECT_EQ(table.BytesOf(2), 5u);
}

}  // namespace
}  // namespace larder::kv
