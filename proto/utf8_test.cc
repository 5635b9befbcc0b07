#include "proto/utf8.h"

#include <gtest/gtest.h>

#include <string>

#include "larder/v1/larder.pb.h"

namespace larder {
namespace {

struct Case {
  const char* name;
  std::string bytes;
  bool valid;
};

TEST(Utf8, KnowsWellFormedSequences) {
  const Case cases[] = {
      {"empty", "", true},
      {"ascii", "carrots in damp sand", true},
      {"NUL", std::string("a\0b", 3), true},
      {"two bytes", "\xC2\x80\xDF\xBF", true},
      {"three bytes", "\xE0\xA0\x80\xEF\xBF\xBF", true},
      {"four bytes", "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF", true},
      {"after a long ascii run", "0123456789abcdefghi\xC3\xA9", true},
      {"lone continuation", "\x80", false},
      {"overlong slash", "\xC0\xAF", false},
      {"overlong three", "\xE0\x9F\xBF", false},
      {"overlong four", "\xF0\x8F\xBF\xBF", false},
      {"surrogate", "\xED\xA0\x80", false},
      {"beyond the last", "\xF4\x90\x80\x80", false},
      {"five bytes", "\xF8\x88\x80\x80\x80", false},
      {"cut two", "\xC3", false},
      {"cut three", "abc\xE2\x82", false},
      {"cut four", "\xF0\x9F\x98", false},
      {"bad third", "\xE2\x82(", false},
      {"bad in the second eight", "01234567\xFF", false},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(IsValidUtf8(c.bytes), c.valid) << c.name;
    EXPECT_TRUE(IsValidUtf8(ToValidUtf8(c.bytes))) << c.name;
    EXPECT_EQ(ToValidUtf8(c.bytes) == c.bytes, c.valid) << c.name;
  }
}

TEST(Utf8, ReplacesOnlyBadBytes) {
  EXPECT_EQ(ToValidUtf8("a\xFF\xC3\xA9\xE2\x82z"), "a\xEF\xBF\xBD\xC3\xA9\xEF\xBF\xBD\xEF\xBF\xBDz");
}

TEST(Utf8, NamesTheField) {
  v1::UpsertRequest request;
  request.set_collection("docs");
  request.add_documents()->set_text("fine");
  EXPECT_TRUE(CheckUtf8(request).ok());
  request.add_documents()->set_title("\xFFtitle");
  const absl::Status status = CheckUtf8(request);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("larder.v1.Document.title"), absl::string_view::npos) << status;

  v1::ScrollRequest scroll;
  scroll.set_cursor("\xFF");  // bytes may be anything
  EXPECT_TRUE(CheckUtf8(scroll).ok());
}

}  // namespace
}  // namespace larder
