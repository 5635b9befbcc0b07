// The commit record: which change was last, what the counters say, and a digest over everything that
// ever was committed. It is written in the same physical batch as the changes it speaks of, under
// kMeta's kCommitKey, so it is exactly as old as the data.
#ifndef LARDER_STORAGE_COMMIT_RECORD_H_
#define LARDER_STORAGE_COMMIT_RECORD_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/store.h"

namespace larder::storage {

// 16 random bytes, drawn when the database was created: which history a commit number belongs to.
std::string NewIdentity();
inline constexpr size_t kIdentityBytes = 16;

struct CommitRecord {
  std::string identity;
  CommitState state;
};

// The state after `batch` is committed on top of `state`. The digest is a CRC-64 chained over each
// batch's commit number, operations and counters.
CommitState Advance(const CommitState& state, const WriteBatch& batch);

std::string EncodeCommitRecord(const CommitRecord& record);
absl::StatusOr<CommitRecord> DecodeCommitRecord(absl::string_view bytes);

bool SameState(const CommitState& a, const CommitState& b);
// "commit 7, digest 0123456789abcdef, 3 documents, 9 chunks, 0 KV entries, 0 extents"
std::string DescribeState(const CommitState& state);

}  // namespace larder::storage

#endif  // LARDER_STORAGE_COMMIT_RECORD_H_
