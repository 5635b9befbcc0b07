#include "rpc/fd_limit.h"

#include <sys/resource.h>

#include <cerrno>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace larder {

absl::StatusOr<uint64_t> RaiseFdLimit(uint64_t least) {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return absl::ErrnoToStatus(errno, "getrlimit(RLIMIT_NOFILE)");
  if (limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return absl::ErrnoToStatus(errno, "setrlimit(RLIMIT_NOFILE)");
  }
  if (limit.rlim_cur < least) {
    return absl::FailedPreconditionError(absl::StrCat("this process may open ", limit.rlim_cur,
                                                      " files (RLIMIT_NOFILE), expected at least ", least));
  }
  return limit.rlim_cur;
}

}  // namespace larder
