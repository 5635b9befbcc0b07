#include "proto/status.h"

#include <grpcpp/support/status.h>
#include <gtest/gtest.h>

#include <string>

#include "engine/utf8.h"


namespace larder {
namespace {

TEST(Status, EveryCodeKeepsItsNumberAndMessage) {
  for (int code = 0; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), "what, where: expected 3, found 4");
    const grpc::Status sent = ToGrpc(status);
    EXPECT_EQ(static_cast<int>(sent.error_code()), code);
    EXPECT_EQ(FromGrpc(sent), status);
  }
}

TEST(Status, NumbersMeanTheSame) {
  EXPECT_EQ(ToGrpc(absl::NotFoundError("")).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ToGrpc(absl::DataLossError("")).error_code(), grpc::StatusCode::DATA_LOSS);
  EXPECT_EQ(ToGrpc(absl::UnavailableError("")).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(FromGrpc(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "")).code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(Status, CutsAMessageThatMetadataCouldNotCarry) {
  std::string message;
  while (message.size() < 5000) message += "ä";
  const std::string sent = ToGrpc(absl::InternalError(message)).error_message();
  EXPECT_LE(sent.size(), kMaxStatusMessageBytes);
  EXPECT_GE(sent.size(), kMaxStatusMessageBytes - 4);
  EXPECT_TRUE(IsUtf8(sent));
  EXPECT_NE(sent.find("... (5000 bytes in all)"), std::string::npos);
  const std::string fits(kMaxStatusMessageBytes, 'x');
  EXPECT_EQ(ToGrpc(absl::InternalError(fits)).error_message(), fits);
}

}  // namespace
}  // namespace larder
