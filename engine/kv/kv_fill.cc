#include "engine/kv/kv_fill.h"

#include <array>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "engine/kv/kv_entry.h"
#include "engine/kv/kv_summary.h"
#include "storage/status_macros.h"

namespace larder::kv {
namespace {

using storage::Table;

constexpr size_t kUpgradeBatch = 256;  // entries a write

// Summaries are read by so many threads: reading takes longer than filing them.
constexpr uint32_t kShares = 2;
// The first hash of a share; hashes are as good as random.
constexpr uint64_t ShareBegin(uint32_t number) { return number * (UINT64_MAX / kShares + 1); }

}  // namespace

KvFiller::KvFiller(KvContext* context, KvTier* tier)
    : context_(*context), tier_(*tier), snapshot_(context->store->GetSnapshot()), thread_([this] { Run(); }) {}

void KvFiller::Stop() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
  snapshot_.reset();
}

void KvFiller::Run() {
  absl::Status status = FillFromSummaries();
  const auto state = context_.store->StateAt(*snapshot_);
  const auto counter = static_cast<size_t>(storage::Counter::kKvEntries);
  if (status.ok()) status = state.status();
  if (status.ok() && state->counters[counter] != summaries_) status = AddMissing();
  if (stop_) status = absl::CancelledError("the KV cache is closed");
  tier_.EndFill(status);
}

absl::Status KvFiller::FillFromSummaries() {
  struct Share {
    std::thread thread;
    absl::Status status;
    int64_t summaries = 0;
  };
  const auto fill = [this](uint32_t number, Share* share) {
    const auto it = context_.store->NewIterator(Table::kKvOwners, std::string(1, kSummaryTag), snapshot_.get());
    for (it->Seek(SummaryPrefix(ShareBegin(number))); it->Valid() && !stop_; it->Next()) {
      const auto value = it->value();
      if (!value.ok()) continue;  // damaged: made anew by AddMissing
      const auto hash = ParseSummaryKey(it->key());
      if (hash.ok() && number + 1 < kShares && hash->high >= ShareBegin(number + 1)) break;
      const auto summary = DecodeSummary(*value, "kv summary");
      if (!hash.ok() || !summary.ok() || HashOf(summary->entry_key) != *hash) continue;
      tier_.Fill(*hash, *summary);
      ++share->summaries;
    }
    share->status = it->status();
  };
  std::array<Share, kShares> shares;
  for (uint32_t i = 1; i < kShares; ++i) {
    try {
      shares[i].thread = std::thread(fill, i, &shares[i]);
    } catch (const std::system_error&) {
      fill(i, &shares[i]);  // none can be had
    }
  }
  fill(0, &shares[0]);
  absl::Status status;
  for (Share& share : shares) {
    if (share.thread.joinable()) share.thread.join();
    status.Update(share.status);
    summaries_ += share.summaries;
  }
  return status;
}

absl::Status KvFiller::AddMissing() {
  std::vector<std::string> missing;
  const auto it = context_.store->NewIterator(Table::kKvEntries, "", snapshot_.get());
  for (; it->Valid() && !stop_; it->Next()) {
    if (tier_.directory().Find(HashOf(it->key())).has_value()) continue;
    missing.emplace_back(it->key());
    if (missing.size() == kUpgradeBatch) RETURN_IF_ERROR(Upgrade(std::exchange(missing, {})));
  }
  RETURN_IF_ERROR(it->status());
  return missing.empty() || stop_ ? absl::OkStatus() : Upgrade(std::move(missing));
}

absl::Status KvFiller::Upgrade(std::vector<std::string> entry_keys) {
  const KeyLocks::Held held = context_.entry_locks.Acquire(entry_keys);
  storage::WriteBatch batch;
  for (const std::string& key : entry_keys) {
    const auto record = context_.store->Get(Table::kKvEntries, key);
    if (!record.ok()) continue;  // deleted since, or damaged: verify and the next reader tell
    const auto entry = DecodeEntry(*record, "kv entry");
    if (!entry.ok()) continue;
    const Summary summary =
        SummaryOf(key, *entry, EstimateSeconds(entry->header.token_count, entry->layers.size()));
    batch.Put(Table::kKvOwners, SummaryKey(HashOf(key)), EncodeSummary(summary));
  }
  // Not synced: what is lost is added again.
  const auto written = context_.store->Write(std::move(batch), /*sync=*/false);
  for (const std::string& key : entry_keys) tier_.Refresh(key);
  return written.status();
}

}  // namespace larder::kv
