// What a collection needs from its database.
#ifndef LARDER_ENGINE_DATABASE_SERVICES_H_
#define LARDER_ENGINE_DATABASE_SERVICES_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/build_threads.h"
#include "engine/embedder.h"
#include "engine/kv/kv_cache_impl.h"
#include "engine/records.h"
#include "engine/vector_space.h"
#include "storage/extent_store.h"
#include "storage/store.h"

namespace larder {

struct DatabaseServices {
  std::string path;
  std::unique_ptr<storage::Store> store;
  std::unique_ptr<storage::ExtentStore> extents;
  KvCacheImpl* kv = nullptr;
  std::unique_ptr<BuildThreads> build_threads;
  TreeMemory tree_memory;
  std::function<absl::Time()> clock;
  // The collection's embedder, loaded at first use and shared; null for EmbedderKind::kNone.
  // FailedPrecondition if it is not the one the collection was made with.
  std::function<absl::StatusOr<std::shared_ptr<Embedder>>(const CollectionRecord&)> embedder;

  int64_t NowMs() const { return absl::ToUnixMillis(clock()); }
};

}  // namespace larder

#endif  // LARDER_ENGINE_DATABASE_SERVICES_H_
