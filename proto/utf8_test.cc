#include "proto/utf8.h"

#include <gtest/gtest.h>

#include "larder/v1/larder.pb.h"

namespace larder {
namespace {

TEST(CheckUtf8, NamesTheField) {
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
