// What every call goes through before and after its work. Private to rpc/.
#ifndef LARDER_RPC_CALL_H_
#define LARDER_RPC_CALL_H_

#include <grpcpp/server_context.h>

#include <chrono>
#include <exception>
#include <new>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "proto/status.h"
#include "rpc/admission.h"

namespace larder {

// Nobody waits for the answer any more.
inline absl::Status CheckStillWanted(const grpc::ServerContext& context) {
  if (context.deadline() <= std::chrono::system_clock::now()) {
    return absl::DeadlineExceededError("the deadline passed before the call was executed");
  }
  if (context.IsCancelled()) return absl::CancelledError("cancelled before the call was executed");
  return absl::OkStatus();
}

// Runs `work` (absl::Status()) if there is room and still a reason to. The engine throws nothing;
// what the libraries below it throw ends here.
template <typename Work>
grpc::Status Serve(grpc::ServerContext* context, Admission* admission, Work work) {
  absl::StatusOr<Quota::Share> share = admission->calls.Take(1);
  if (!share.ok()) return ToGrpc(share.status());
  if (absl::Status wanted = CheckStillWanted(*context); !wanted.ok()) return ToGrpc(wanted);
  try {
    return ToGrpc(work());
  } catch (const std::bad_alloc&) {
    return ToGrpc(absl::ResourceExhaustedError("out of memory"));
  } catch (const std::exception& e) {
    return ToGrpc(absl::InternalError(absl::StrCat("an exception reached the server: ", e.what())));
  }
}

}  // namespace larder

#endif  // LARDER_RPC_CALL_H_
