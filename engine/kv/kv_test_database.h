// For tests: a KV cache over a real store and extent store on disk, with chunks to own its entries.
#ifndef LARDER_ENGINE_KV_KV_TEST_DATABASE_H_
#define LARDER_ENGINE_KV_KV_TEST_DATABASE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/kv/kv_cache_impl.h"
#include "larder/kv.h"
#include "larder/kv_types.h"
#include "storage/extent_store.h"
#include "storage/store.h"
#include "storage/test_directory.h"

namespace larder::kv {

inline constexpr uint32_t kCollection = 7;

// 3 layers of 2 heads of 8 dimensions, f16: 32 bytes a token.
KvProfile SmallProfile();
std::vector<int32_t> Tokens(int seed, size_t count = 16);
// The bytes of one layer's K or V, told apart by seed, layer and part.
std::string Payload(uint64_t bytes, int seed, uint32_t layer, bool is_v);

class TestDatabase {
 public:
  explicit TestDatabase(uint64_t extent_file_bytes = 1 << 20, uint64_t pool_bytes = 0,
                        const KvOptions& options = {});
  ~TestDatabase() { Close(); }

  storage::Store& store() { return *store_; }
  storage::ExtentStore& extents() { return *extents_; }
  KvCache& kv() { return *kv_; }
  KvCacheImpl& impl() { return *kv_->impl(); }
  void Advance(absl::Duration by) { offset_ms_ += absl::ToInt64Milliseconds(by); }

  void Reopen();
  // Until the directory is filled.
  void AwaitFilled();
  // What a kill at this instant would leave behind, opened in place of what was there.
  void CrashAndReopen();
  // Flips one byte of the extent's payload on disk.
  void Damage(const storage::ExtentPointer& pointer);

  // A chunk of `tenant` that may own entries; owned by document "d<vid>", ordinal 0.
  KvOwner AddChunk(uint64_t vid, absl::string_view tenant = "");
  // Deletes chunks and their KV in one write. `sabotage` is added to the batch.
  absl::Status DeleteChunks(absl::Span<const uint64_t> vids, absl::string_view tenant = "");
  bool HasChunk(uint64_t vid, absl::string_view tenant = "") const;

  // The id of SmallProfile, registered.
  const std::string& profile_id() const { return profile_id_; }
  KvKey Key(int seed, absl::string_view tenant = "") const;
  absl::Status Put(const KvKey& key, int seed, const std::vector<KvOwner>& owners = {});
  absl::Status PutLayers(KvPutHandle handle, const KvKey& key, int seed);
  bool Hit(const KvKey& key);
  // Empty, or how what is read differs from what Put(key, seed) wrote.
  std::string Difference(const KvKey& key, int seed);
  absl::StatusOr<Entry> Record(const KvKey& key) const;
  int64_t Count(storage::Counter counter) const;
  // Problems that either verify finds.
  std::vector<std::string> Problems();

 private:
  void Open();
  void Close();

  const uint64_t extent_file_bytes_, pool_bytes_;
  const KvOptions options_;
  storage::TestDirectory directory_;
  std::string name_ = "db";
  std::atomic<int64_t> offset_ms_ = 0;
  std::unique_ptr<storage::Store> store_;
  std::unique_ptr<storage::ExtentStore> extents_;
  std::unique_ptr<KvCache> kv_;
  std::string profile_id_;
};

}  // namespace larder::kv

#endif  // LARDER_ENGINE_KV_KV_TEST_DATABASE_H_
