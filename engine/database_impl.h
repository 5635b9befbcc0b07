// The database from the inside: the store, the extents, the collections, and the thread that looks
// after them.
#ifndef LARDER_ENGINE_DATABASE_IMPL_H_
#define LARDER_ENGINE_DATABASE_IMPL_H_

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "engine/collection_impl.h"
#include "engine/database_services.h"
#include "larder/database.h"
#include "larder/kv.h"

namespace larder {

// Thread-safe.
class DatabaseImpl {
 public:
  static absl::StatusOr<std::unique_ptr<DatabaseImpl>> Open(absl::string_view path, const OpenOptions& options);
  ~DatabaseImpl();
  absl::Status Close();

  absl::StatusOr<Collection> CreateCollection(absl::string_view name, const CollectionOptions& options);
  absl::StatusOr<Collection> GetCollection(absl::string_view name) const;
  std::vector<std::string> ListCollections() const;
  absl::Status DropCollection(absl::string_view name);
  KvCache& kv() { return *kv_; }

  absl::StatusOr<DatabaseStats> Stats() const;
  absl::StatusOr<VerifyReport> Verify() const;
  absl::Status Compact();
  absl::StatusOr<BackupInfo> Backup(absl::string_view directory) const;

 private:
  explicit DatabaseImpl(const OpenOptions& options) : options_(options) {}
  absl::Status OpenStorage(absl::string_view path);
  absl::Status OpenCollections();
  absl::StatusOr<CollectionRecord> MakeRecord(absl::string_view name, CollectionOptions options);
  absl::StatusOr<std::shared_ptr<Embedder>> LoadEmbedder(const CollectionOptions& options);
  absl::StatusOr<std::shared_ptr<Embedder>> EmbedderOf(const CollectionRecord& record);
  std::vector<std::shared_ptr<CollectionImpl>> Collections() const;
  absl::Status CheckOpen() const ABSL_SHARED_LOCKS_REQUIRED(life_);
  absl::StatusOr<std::shared_ptr<CollectionImpl>> Find(absl::string_view name) const;
  void LookAfter();   // expiry, snapshots, folding, KV eviction
  void SweepKv();
  void CollectWhereWorth();
  void MaintainTrees();  // builds, folds, splits
  void KeepBudget();     // says which collection leaves memory
  absl::Status CollectExtents();
  absl::StatusOr<bool> RelocateTree(const storage::ExtentOwner& owner, const storage::ExtentPointer& from,
                                    const storage::ExtentPointer& to, storage::WriteBatch* batch);
  void TuneRecall();  // calibration and checks, which may take long

  const OpenOptions options_;
  DatabaseServices services_;
  std::unique_ptr<KvCache> kv_;

  mutable absl::Mutex life_;  // shared by every call; exclusive to close
  bool open_ ABSL_GUARDED_BY(life_) = true;
  absl::Mutex ddl_;  // one create or drop at a time
  mutable absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<CollectionImpl>, std::less<>> collections_ ABSL_GUARDED_BY(mutex_);
  absl::Mutex embedders_mutex_;
  std::map<std::string, std::shared_ptr<Embedder>> embedders_ ABSL_GUARDED_BY(embedders_mutex_);
  absl::Notification stop_;
  uint64_t extent_garbage_left_ = 0;  // by the keeper's last collection; its own
  std::thread keeper_, tuner_, gardener_;
};

}  // namespace larder

#endif  // LARDER_ENGINE_DATABASE_IMPL_H_
