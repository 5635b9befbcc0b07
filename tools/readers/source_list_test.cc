#include "tools/readers/source_list.h"

#include <sys/stat.h>

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tools/readers/test_files.h"

namespace larder::tools {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class SourceListTest : public TestFiles {
 protected:
  // Paths relative to the test's folder.
  std::vector<std::string> List(const std::vector<std::string>& names,
                                std::optional<DocumentFormat> forced = {}) {
    std::vector<std::string> paths, found;
    for (const std::string& name : names) paths.push_back(Path(name));
    auto list = ListSources(paths, forced);
    EXPECT_TRUE(list.ok()) << list.status();
    if (!list.ok()) return {};
    unknown_ = list->unknown_files;
    total_bytes_ = list->total_bytes;
    for (const Source& source : list->sources) {
      found.push_back(std::filesystem::path(source.path).lexically_relative(folder_).string());
    }
    return found;
  }
  uint64_t unknown_ = 0, total_bytes_ = 0;
};

TEST_F(SourceListTest, ListsDirectoriesInOrder) {
  Write("d/b.md", "12");
  Write("d/a/z.txt", "3");
  Write("d/a/c.HTML", "4");
  Write("d/c.jsonl", "5");
  Write("d/picture.png", "6");
  Write("d/.hidden.md", "7");
  Write("d/.git/x.txt", "8");
  EXPECT_THAT(List({"d/"}), ElementsAre("d/a/c.HTML", "d/a/z.txt", "d/b.md", "d/c.jsonl"));
  EXPECT_EQ(unknown_, 1u);
  EXPECT_EQ(total_bytes_, 5u);
  EXPECT_THAT(List({"d/c.jsonl", "d", "./d//b.md"}),
              ElementsAre("d/c.jsonl", "d/a/c.HTML", "d/a/z.txt", "d/b.md"));
  EXPECT_THAT(List({"d"}, DocumentFormat::kText),
              ElementsAre("d/a/c.HTML", "d/a/z.txt", "d/b.md", "d/c.jsonl", "d/picture.png"));
}

TEST_F(SourceListTest, FollowsOnlyLinksThatAreNamed) {
  Write("out/secret.txt", "1");
  Write("d/a.txt", "2");
  std::filesystem::create_symlink(Path("out"), Path("d/link"));
  std::filesystem::create_symlink(Path("out/secret.txt"), Path("d/file.txt"));
  std::filesystem::create_symlink(Path("d"), Path("d/loop"));
  EXPECT_THAT(List({"d"}), ElementsAre("d/a.txt"));
  EXPECT_THAT(List({"d/file.txt"}), ElementsAre("d/file.txt"));
  EXPECT_THAT(List({"d/link"}), ElementsAre("d/link/secret.txt"));
}

TEST_F(SourceListTest, RefusesWhatItCannotRead) {
  Write("a.png", "1");
  ASSERT_EQ(mkfifo(Path("pipe.txt").c_str(), 0600), 0);
  struct Case {
    const char* name;
    absl::StatusCode code;
  } cases[] = {{"a.png", absl::StatusCode::kInvalidArgument},
               {"pipe.txt", absl::StatusCode::kInvalidArgument},
               {"missing.txt", absl::StatusCode::kNotFound}};
  for (const Case& c : cases) {
    auto list = ListSources({Path(c.name)});
    EXPECT_EQ(list.status().code(), c.code) << c.name;
    EXPECT_THAT(std::string(list.status().message()), HasSubstr(Path(c.name)));
  }
  EXPECT_FALSE(ListSources({""}).ok());
  EXPECT_THAT(List({"a.png"}, DocumentFormat::kText), ElementsAre("a.png"));
}

}  // namespace
}  // namespace larder::tools
