#include <limits>
#include <string>
#include <vector>

#include "engine/filter.h"
#include "gtest/gtest.h"

namespace larder {
namespace {

const Metadata& Example() {
  static const Metadata* const metadata = new Metadata{
      {"year", 1970},
      {"pages", MetadataValue(Scalar(12.5))},
      {"whole", MetadataValue(Scalar(3.0))},
      {"big", MetadataValue(Scalar(int64_t{9007199254740993}))},  // 2^53 + 1
      {"most", MetadataValue(Scalar(std::numeric_limits<int64_t>::max()))},
      {"least", MetadataValue(Scalar(std::numeric_limits<int64_t>::min()))},
      {"nan", MetadataValue(Scalar(std::numeric_limits<double>::quiet_NaN()))},
      {"lang", "de"},
      {"draft", MetadataValue(Scalar(true))},
      {"tags", MetadataValue(std::vector<Scalar>{Scalar(std::string("red")), Scalar(int64_t{7})})},
      {"none", MetadataValue(std::vector<Scalar>{})},
  };
  return *metadata;
}

TEST(Matches, FollowsTheDefinition) {
  struct Case {
    const char* expression;
    bool matches;
  } cases[] = {
      {"", true},
      {"true", true},
      {"false", false},
      {"year = 1970", true},
      {"year = 1970.0", true},
      {"year < 1970.5", true},
      {"year > 1969.5", true},
      {"year = \"1970\"", false},
      {"year != \"1970\"", true},
      {"year = true", false},
      {"pages < 12.5", false},
      {"pages <= 12.5", true},
      {"pages > 12", true},
      {"pages < 13", true},
      {"whole = 3", true},
      {"whole in (1, 3)", true},
      {"big = 9007199254740992.0", false},
      {"big > 9007199254740992.0", true},
      {"big < 9007199254740994.0", true},
      {"most < 9223372036854775808.0", true},
      {"most >= 9223372036854775808.0", false},
      {"least = -9223372036854775808.0", true},
      {"least > -1e300", true},
      {"nan = 1", false},
      {"nan != 1", true},
      {"nan < 1 or nan >= 1", false},
      {"lang = \"de\"", true},
      {"lang = \"d\"", false},
      {"lang prefix \"d\"", true},
      {"lang prefix \"\"", true},
      {"lang prefix \"den\"", false},
      {"year prefix \"19\"", false},
      {"lang < \"df\"", true},
      {"lang > \"Z\"", true},
      {"lang < 5", false},
      {"lang >= 5", false},
      {"draft = true", true},
      {"draft = false", false},
      {"draft = 1", false},
      {"draft > false", true},
      {"tags = \"red\"", true},
      {"tags = 7", true},
      {"tags = 7.0", true},
      {"tags = \"blue\"", false},
      {"tags != \"blue\"", true},
      {"tags != \"red\"", false},
      {"tags > 5", true},
      {"tags prefix \"re\"", true},
      {"tags in (\"blue\", 7)", true},
      {"exists(tags)", true},
      {"exists(none)", true},
      {"none = 1", false},
      {"none != 1", true},
      {"missing = 1", false},
      {"missing != 1", true},
      {"missing < 1", false},
      {"missing in (1, \"\")", false},
      {"missing prefix \"\"", false},
      {"not missing = 1", true},
      {"exists(missing)", false},
      {"not exists(missing)", true},
      {"year = 1970 and lang = \"en\"", false},
      {"year = 1970 or lang = \"en\"", true},
      {"not (year = 1970 and lang = \"de\")", false},
      {"year in (1, 2.5, \"x\", true)", false},
      {"draft in (1, 2.5, \"x\", true)", true},
  };
  for (const Case& c : cases) {
    auto filter = ParseFilter(c.expression);
    ASSERT_TRUE(filter.ok()) << c.expression << ": " << filter.status();
    EXPECT_EQ(Matches(*filter, Example()), c.matches) << c.expression;
  }
}

}  // namespace
}  // namespace larder
