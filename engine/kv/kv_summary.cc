#include "engine/kv/kv_summary.h"

#include <cmath>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/kv/kv_keys.h"
#include "storage/coding.h"
#include "storage/status_macros.h"

namespace larder::kv {
namespace {

constexpr uint8_t kVersion = 1;
constexpr uint8_t kPinned = 1, kRotated = 2;  // flags
constexpr size_t kHashKeyBytes = 1 + 8 + 8;
constexpr double kSecondsPerTokenAndLayer = 1.0 / (17'000 * 32);

}  // namespace

KvKeyHash HashOf(absl::string_view entry_key) {
  const std::string digest = Sha256(entry_key);
  return {storage::ReadKey64(digest.data()), storage::ReadKey64(digest.data() + 8)};
}

Summary SummaryOf(absl::string_view entry_key, const Entry& entry, double saved_seconds) {
  Summary summary{std::string(entry_key), 0, entry.header.token_count, saved_seconds};
  for (const storage::ExtentPointer& pointer : PointersOf(entry)) summary.bytes += pointer.length;
  summary.rotated_from = entry.header.rotated_from;
  return summary;
}

std::string SummaryPrefix(uint64_t high) {
  std::string key(1, kSummaryTag);
  storage::AppendKey64(high, &key);
  return key;
}

std::string SummaryKey(const KvKeyHash& hash) {
  std::string key = SummaryPrefix(hash.high);
  storage::AppendKey64(hash.low, &key);
  return key;
}

absl::StatusOr<KvKeyHash> ParseSummaryKey(absl::string_view key) {
  if (key.size() != kHashKeyBytes || key[0] != kSummaryTag) {
    return absl::DataLossError(
        absl::StrCat("kv summary key ", absl::BytesToHexString(key), ": expected 's' and 16 bytes"));
  }
  return KvKeyHash{storage::ReadKey64(key.data() + 1), storage::ReadKey64(key.data() + 9)};
}

std::string EncodeSummary(const Summary& summary) {
  storage::RecordWriter writer(kVersion);
  writer.Bytes(summary.entry_key);
  writer.Varint(summary.bytes);
  writer.Varint(summary.tokens);
  writer.Double(summary.saved_seconds);
  writer.U64(static_cast<uint64_t>(summary.expires_ms));
  writer.U8(static_cast<uint8_t>((summary.pinned ? kPinned : 0) | (summary.rotated_from ? kRotated : 0)));
  if (summary.rotated_from.has_value()) writer.U32(*summary.rotated_from);
  return std::move(writer).Finish();
}

absl::StatusOr<Summary> DecodeSummary(absl::string_view record, absl::string_view what) {
  storage::RecordReader reader(record, kVersion, what);
  Summary summary;
  summary.entry_key = std::string(reader.Bytes());
  summary.bytes = reader.Varint();
  const uint64_t tokens = reader.Varint();
  summary.saved_seconds = reader.Double();
  summary.expires_ms = static_cast<int64_t>(reader.U64());
  const uint8_t flags = reader.U8();
  if ((flags & kRotated) != 0) summary.rotated_from = reader.U32();
  RETURN_IF_ERROR(reader.status());
  if (tokens > kMaxTokens || flags > (kPinned | kRotated) || !reader.AtEnd() || !std::isfinite(summary.saved_seconds) ||
      summary.saved_seconds < 0 || summary.expires_ms < 0) {
    return absl::DataLossError(absl::StrCat(what, ": ", tokens, " tokens, ", summary.saved_seconds,
                                            " s saved, expires at ", summary.expires_ms, ", flags ", flags,
                                            ", or bytes that follow"));
  }
  summary.tokens = static_cast<uint32_t>(tokens);
  summary.pinned = (flags & kPinned) != 0;
  return summary;
}

double EstimateSeconds(uint64_t tokens, uint64_t layers) {
  return static_cast<double>(tokens * layers) * kSecondsPerTokenAndLayer;
}

}  // namespace larder::kv
