// What is known of an entry without its record: enough to find it, to rank it and to let it go.
//
//   kKvOwners   's' hash[16]  ->  summary record
//
// One row an entry, written and deleted in the batch that writes or deletes the entry's record. They
// are what the directory in memory is filled from: an entry's record is a hundred times as large.
#ifndef LARDER_ENGINE_KV_KV_SUMMARY_H_
#define LARDER_ENGINE_KV_KV_SUMMARY_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/kv/kv_entry.h"
#include "larder/kv_stats.h"

namespace larder::kv {

inline constexpr char kSummaryTag = 's';

struct Summary {
  std::string entry_key;
  uint64_t bytes = 0;         // stored: all layers, K and V, and sidecars
  uint32_t tokens = 0;
  double saved_seconds = 0;   // at each hit
  int64_t expires_ms = 0;     // 0 = never
  bool pinned = false;
  std::optional<uint32_t> rotated_from = {};  // as EntryHeader's
  friend bool operator==(const Summary&, const Summary&) = default;
};

// The first 16 bytes of the entry key's SHA-256.
KvKeyHash HashOf(absl::string_view entry_key);

// Of an entry that neither expires nor is pinned.
Summary SummaryOf(absl::string_view entry_key, const Entry& entry, double saved_seconds);

std::string SummaryKey(const KvKeyHash& hash);
absl::StatusOr<KvKeyHash> ParseSummaryKey(absl::string_view key);
// Of the entries whose hash begins with these eight bytes.
std::string SummaryPrefix(uint64_t high);

std::string EncodeSummary(const Summary& summary);
absl::StatusOr<Summary> DecodeSummary(absl::string_view record, absl::string_view what);

// What an entry is assumed to have cost where its producer does not say: tokens times layers, at the
// 17,000 tokens a second that a Llama-3-8B (32 layers) is prefilled with. Only ratios matter.
double EstimateSeconds(uint64_t tokens, uint64_t layers);

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_KV_SUMMARY_H_
