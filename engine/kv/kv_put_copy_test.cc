#include "engine/kv/kv_put_copy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace larder::kv {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(PutCopy, GivesAllOrNothing) {
  PutCopyBudget budget(100);
  PutCopy copy(&budget, 3);
  copy.Keep(2, "ccc");
  copy.Keep(0, "a");
  EXPECT_THAT(copy.Take(), IsEmpty());
  copy.Keep(1, "bb");
  EXPECT_THAT(copy.Take(), ElementsAre("a", "bb", "ccc"));
  EXPECT_THAT(copy.Take(), IsEmpty());
}

TEST(PutCopy, BeyondTheBudgetNothingIsKeptAndAllComesBack) {
  PutCopyBudget budget(10);
  {
    PutCopy first(&budget, 2), second(&budget, 2);
    first.Keep(0, "123456");
    second.Keep(0, "12345");  // too much: it gives up
    second.Keep(1, "1");
    EXPECT_THAT(second.Take(), IsEmpty());
    first.Keep(1, "1234");
    EXPECT_FALSE(budget.Take(1));
    EXPECT_EQ(first.Take().size(), 2u);
    EXPECT_FALSE(budget.Take(1)) << "who took them still holds them";
  }
  EXPECT_TRUE(budget.Take(10));
}

TEST(PutCopy, WithoutABudgetItKeepsNothing) {
  PutCopy copy(nullptr, 1);
  copy.Keep(0, "a");
  EXPECT_THAT(copy.Take(), IsEmpty());
}

}  // namespace
}  // namespace larder::kv
