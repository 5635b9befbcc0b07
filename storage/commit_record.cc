#include "storage/commit_record.h"

#include <algorithm>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "storage/coding.h"
#include "storage/crc32c.h"
#include "storage/status_macros.h"
#include "storage/write_batch.h"

namespace larder::storage {
namespace {
constexpr uint8_t kVersion = 1;
constexpr absl::string_view kCounterNames[kCounterCount] = {"documents", "chunks", "KV entries", "extents"};
}  // namespace

std::string NewIdentity() {
  absl::BitGen random;
  std::string identity;
  while (identity.size() < kIdentityBytes) AppendKey64(absl::Uniform<uint64_t>(random), &identity);
  return identity;
}

CommitState Advance(const CommitState& state, const WriteBatch& batch) {
  CommitState next = state;
  next.commit = state.commit + 1;
  std::string head;
  AppendKey64(next.commit, &head);
  for (int i = 0; i < kCounterCount; ++i) {
    next.counters[i] += batch.rep().counters[i];
    AppendKey64(static_cast<uint64_t>(batch.rep().counters[i]), &head);
  }
  next.digest = Crc64(batch.rep().operations, Crc64(head, state.digest));
  return next;
}

std::string EncodeCommitRecord(const CommitRecord& record) {
  RecordWriter out(kVersion);
  out.Bytes(record.identity);
  out.U64(record.state.commit);
  out.U64(record.state.digest);
  out.Varint(kCounterCount);
  for (const int64_t counter : record.state.counters) out.U64(static_cast<uint64_t>(counter));
  return std::move(out).Finish();
}

absl::StatusOr<CommitRecord> DecodeCommitRecord(absl::string_view bytes) {
  RecordReader in(bytes, kVersion, "commit record");
  CommitRecord record;
  record.identity = std::string(in.Bytes());
  record.state.commit = in.U64();
  record.state.digest = in.U64();
  const uint64_t counters = in.Varint();
  RETURN_IF_ERROR(in.status());
  if (record.identity.size() != kIdentityBytes || counters > kCounterCount) {
    return absl::DataLossError(absl::StrCat("commit record: identity of ", record.identity.size(),
                                            " bytes and ", counters, " counters, expected ", kIdentityBytes,
                                            " and at most ", kCounterCount));
  }
  for (uint64_t i = 0; i < counters; ++i) record.state.counters[i] = static_cast<int64_t>(in.U64());
  RETURN_IF_ERROR(in.status());
  return record;
}

bool SameState(const CommitState& a, const CommitState& b) {
  return a.commit == b.commit && a.digest == b.digest &&
         std::equal(std::begin(a.counters), std::end(a.counters), std::begin(b.counters));
}

std::string DescribeState(const CommitState& state) {
  std::string out =
      absl::StrCat("commit ", state.commit, ", digest ", absl::Hex(state.digest, absl::kZeroPad16));
  for (int i = 0; i < kCounterCount; ++i)
    absl::StrAppend(&out, ", ", state.counters[i], " ", kCounterNames[i]);
  return out;
}

}  // namespace larder::storage
