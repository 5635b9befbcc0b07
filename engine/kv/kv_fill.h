// Fills the directory from the store, in the background.
#ifndef LARDER_ENGINE_KV_KV_FILL_H_
#define LARDER_ENGINE_KV_KV_FILL_H_

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "engine/kv/kv_context.h"
#include "engine/kv/kv_tier.h"
#include "storage/store.h"

namespace larder::kv {

// Reads the summary rows as of its construction. Where they are not one for each entry (the database was
// written by a version that knew none), it then reads the entries' records and adds the rows that are
// missing. A failure leaves the directory unfilled: lookups go on asking the store.
class KvFiller {
 public:
  // Nothing may write to the store before it returns.
  KvFiller(KvContext* context, KvTier* tier);
  ~KvFiller() { Stop(); }
  // Waits for the thread, and lets the snapshot go. Idempotent.
  void Stop();

 private:
  void Run();
  absl::Status FillFromSummaries();
  absl::Status AddMissing();
  // Writes the rows of entries that have none; their locks are taken.
  absl::Status Upgrade(std::vector<std::string> entry_keys);

  KvContext& context_;
  KvTier& tier_;
  std::unique_ptr<storage::Snapshot> snapshot_;
  int64_t summaries_ = 0;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_KV_FILL_H_
