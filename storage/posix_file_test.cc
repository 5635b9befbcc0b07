#include "storage/posix_file.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "storage/fault_env.h"
#include "storage/test_directory.h"

namespace larder::storage {
namespace {

TEST(PosixFile, WritesAtomicallyAtEveryFailure) {
  TestDirectory dir;
  for (int fail_at = 1; fail_at <= 4; ++fail_at) {
    dir.Write("file", "old");
    FaultFiles files([&](int number, const std::string&) {
      return number == fail_at ? absl::ResourceExhaustedError("injected") : absl::OkStatus();
    });
    const absl::Status status = WriteFileAtomically(files, dir.path("file"), "new");
    EXPECT_EQ(status.ok(), fail_at == 4) << fail_at;
    EXPECT_EQ(dir.Read("file"), fail_at <= 2 ? "old" : "new") << fail_at;
    EXPECT_FALSE(dir.Exists("file.tmp"));
  }
}

TEST(PosixFile, ReadsUpToALimitAndThroughNoLink) {
  TestDirectory dir;
  dir.Write("file", std::string(100000, 'x'));
  EXPECT_EQ(ReadWholeFile(dir.path("file"), 100000)->size(), 100000u);
  EXPECT_EQ(ReadWholeFile(dir.path("file"), 99999).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReadWholeFile(dir.path("absent"), 1).status().code(), absl::StatusCode::kNotFound);
  std::filesystem::create_symlink(dir.path("file"), dir.path("link"));
  EXPECT_EQ(ReadWholeFile(dir.path("link"), 100000).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(IsSymbolicLink(dir.path("link")));
  EXPECT_FALSE(IsSymbolicLink(dir.path("file")));
}

TEST(PosixFile, MakesAndRemovesTrees) {
  TestDirectory dir;
  FileSystem& files = FileSystem::Posix();
  EXPECT_TRUE(MakeDirectories(files, dir.path("a/b/c")).ok());
  EXPECT_TRUE(MakeDirectories(files, dir.path("a/b/c")).ok());
  dir.Write("a/b/file", "12345");
  EXPECT_FALSE(MakeDirectories(files, dir.path("a/b/file")).ok());
  EXPECT_FALSE(MakeDirectories(files, dir.path("a/b/file/d")).ok());
  EXPECT_EQ(TreeBytes(dir.path("a")), 5u);
  EXPECT_EQ(*ListDirectory(dir.path("a/b")), (std::vector<std::string>{"c", "file"}));
  EXPECT_EQ(ListDirectory(dir.path("z")).status().code(), absl::StatusCode::kNotFound);
  std::filesystem::create_directory(dir.path("kept"));
  dir.Write("kept/file", "");
  std::filesystem::create_directory_symlink(dir.path("kept"), dir.path("a/link"));
  EXPECT_TRUE(RemoveTree(dir.path("a")).ok());
  EXPECT_FALSE(dir.Exists("a"));
  EXPECT_TRUE(dir.Exists("kept/file"));
  EXPECT_TRUE(RemoveTree(dir.path("a")).ok());
  EXPECT_TRUE(RemoveFileIfPresent(dir.path("kept/file")).ok());
  EXPECT_TRUE(RemoveFileIfPresent(dir.path("kept/file")).ok());
}

TEST(PosixFile, NamesParents) {
  struct Case {
    const char *path, *parent;
  };
  for (const Case& test :
       {Case{"a/b", "a"}, {"a/b/", "a"}, {"a", "."}, {"/a", "/"}, {"/", "/"}, {"a//", "."}}) {
    EXPECT_EQ(ParentDirectory(test.path), test.parent) << test.path;
  }
}

TEST(FileLock, HasOneHolderAtATime) {
  TestDirectory dir;
  auto first = FileLock::Acquire(dir.path("LOCK"));
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(FileLock::Acquire(dir.path("LOCK")).status().code(), absl::StatusCode::kUnavailable);
  FileLock moved = *std::move(first);
  EXPECT_EQ(FileLock::Acquire(dir.path("LOCK")).status().code(), absl::StatusCode::kUnavailable);
  moved.Release();
  EXPECT_TRUE(FileLock::Acquire(dir.path("LOCK")).ok());
}

}  // namespace
}  // namespace larder::storage
