// The extent store's parts put together. Private, but for tests that replace system calls or stop
// garbage collection half way.
#ifndef LARDER_STORAGE_EXTENT_STORE_IMPL_H_
#define LARDER_STORAGE_EXTENT_STORE_IMPL_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "storage/extent_fds.h"
#include "storage/extent_gc.h"
#include "storage/extent_ledger.h"
#include "storage/extent_reader.h"
#include "storage/extent_store.h"
#include "storage/extent_system.h"
#include "storage/extent_writer.h"

namespace larder::storage {

struct ExtentEnvironment {
  ExtentSystem* system = &ExtentSystem::Posix();
  ExtentGcHook gc_hook;
};

absl::StatusOr<std::unique_ptr<ExtentStore>> OpenExtentStore(absl::string_view directory, Store* store,
                                                             const ExtentStoreOptions& options,
                                                             const ExtentEnvironment& environment);

class ExtentStoreImpl final : public ExtentStore {
 public:
  ExtentStoreImpl(std::string directory, Store* store, const ExtentStoreOptions& options,
                  const ExtentEnvironment& environment);
  absl::Status Recover();

  absl::StatusOr<ExtentPointer> Append(absl::string_view payload) override;
  absl::Status Sync() override;
  void Reference(const ExtentPointer& pointer, const ExtentOwner& owner, WriteBatch* batch) override;
  void Release(const ExtentPointer& pointer, WriteBatch* batch) override;
  void Forget(const ExtentPointer& pointer) override;
  std::vector<absl::StatusOr<std::string>> Read(absl::Span<const ExtentPointer> pointers) const override;
  void Stream(absl::Span<const ExtentPointer> pointers, Sink sink, Start start) const override;
  absl::StatusOr<uint64_t> CollectGarbage(const Relocate& relocate) override;
  absl::StatusOr<uint64_t> Verify(std::vector<std::string>* problems) const override;
  absl::Status LinkInto(absl::string_view target) const override;
  ExtentStats Stats() const override;

 private:
  const std::string directory_;
  Store* const store_;
  const ExtentGcHook gc_hook_;

  // Each is thread-safe. Later ones use earlier ones. Reading and sealing (for a backup) change
  // caches, not what the store holds, so const methods may use them.
  mutable ExtentLedger ledger_;
  mutable ExtentFds fds_;
  mutable ExtentWriter writer_;
  mutable ExtentReader reader_;

  absl::Mutex gc_mutex_;  // held for a whole collection; no other lock is held when it is taken
};

}  // namespace larder::storage

#endif  // LARDER_STORAGE_EXTENT_STORE_IMPL_H_
