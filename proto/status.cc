#include "proto/status.h"

#include <grpcpp/support/status.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "engine/utf8.h"

namespace larder {

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  std::string message = ToValidUtf8(status.message());
  if (message.size() > kMaxStatusMessageBytes) {
    const std::string tail = absl::StrCat(" ... (", message.size(), " bytes in all)");
    size_t keep = kMaxStatusMessageBytes - tail.size();
    while (keep > 0 && (message[keep] & 0xC0) == 0x80) --keep;  // not within a code point
    message.resize(keep);
    message += tail;
  }
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), message);
}

absl::Status FromGrpc(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

}  // namespace larder
