// One face for a database in this process and one behind a server, so that each command is written
// once: `--db DIR` opens LocalBackend, `--server ADDR` RemoteBackend.
#ifndef LARDER_TOOLS_BACKEND_H_
#define LARDER_TOOLS_BACKEND_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "larder/collection.h"
#include "larder/database.h"
#include "larder/kv_stats.h"
#include "larder/kv_types.h"
#include "larder/options.h"
#include "larder/types.h"

namespace larder::tools {

struct CollectionDescription {
  CollectionInfo info;
  CollectionOptions options;
};

// The verbs of Database, Collection and KvCache (meanings and errors: there), with the collection's
// name first. Thread-safe.
class Backend {
 public:
  virtual ~Backend() = default;

  virtual absl::Status CreateCollection(absl::string_view name, const CollectionOptions& options) = 0;
  virtual absl::StatusOr<CollectionDescription> DescribeCollection(absl::string_view name) = 0;
  virtual absl::StatusOr<std::vector<std::string>> ListCollections() = 0;
  virtual absl::Status DropCollection(absl::string_view name) = 0;

  virtual absl::StatusOr<std::vector<UpsertResult>> Upsert(absl::string_view collection,
                                                           absl::Span<const Document> documents,
                                                           const WriteOptions& options = {}) = 0;
  virtual absl::StatusOr<Document> Get(absl::string_view collection, absl::string_view id,
                                       absl::string_view tenant, bool include_chunks) = 0;
  virtual absl::StatusOr<std::vector<Chunk>> Chunks(absl::string_view collection, absl::string_view id,
                                                    absl::string_view tenant) = 0;
  virtual absl::StatusOr<bool> Delete(absl::string_view collection, absl::string_view id,
                                      absl::string_view tenant) = 0;
  virtual absl::StatusOr<uint64_t> DeleteWhere(absl::string_view collection, absl::string_view filter,
                                               absl::string_view tenant) = 0;
  virtual absl::StatusOr<ScrollReply> Scroll(absl::string_view collection, const ScrollRequest& request) = 0;
  virtual absl::StatusOr<uint64_t> Count(absl::string_view collection, absl::string_view filter,
                                         absl::string_view tenant) = 0;
  virtual absl::StatusOr<SearchReply> Search(absl::string_view collection, const SearchRequest& request) = 0;

  virtual absl::StatusOr<std::string> RegisterProfile(const KvProfile& profile) = 0;
  virtual absl::StatusOr<KvProfile> GetProfile(absl::string_view profile_id) = 0;
  virtual absl::StatusOr<std::vector<std::string>> ListProfiles() = 0;
  // Begin, every layer, commit; aborts on the first failure.
  virtual absl::Status PutKv(const KvPutRequest& request, absl::Span<const KvLayer> layers) = 0;
  virtual absl::StatusOr<std::vector<KvLookup>> LookupKv(absl::Span<const KvKey> keys) = 0;
  virtual absl::StatusOr<std::vector<KvLayer>> ReadKv(const KvReadRequest& request) = 0;
  virtual absl::StatusOr<KvPlan> PlanKv(const KvPlanRequest& request) = 0;
  virtual absl::StatusOr<bool> DeleteKv(const KvKey& key) = 0;
  virtual absl::Status PinKv(const KvKey& key, bool pinned) = 0;
  virtual absl::Status SetKvTtl(const KvKey& key, absl::Duration ttl) = 0;
  virtual absl::Status SetKvQuota(absl::string_view tenant, std::optional<uint64_t> bytes) = 0;
  // Of a database that was just opened: once its entries have been counted.
  virtual absl::StatusOr<KvStats> KvStatistics() = 0;

  virtual absl::StatusOr<DatabaseStats> Stats() = 0;
  virtual absl::StatusOr<VerifyReport> Verify() = 0;
  virtual absl::Status Compact() = 0;
  // `place`: a directory (local), a name under the server's backup directory (remote).
  virtual absl::StatusOr<BackupInfo> Backup(absl::string_view place) = 0;
  virtual absl::StatusOr<std::vector<BackupInfo>> ListBackups(absl::string_view place) = 0;

  // Writes what is to be written and ends; a local database reports here what closing it failed at.
  virtual absl::Status Close() = 0;
};

// Where the database is. Exactly one of the two.
struct Address {
  std::string db;      // directory
  std::string server;  // host:port
};

// NotFound if there is no database and `create_if_missing` is false: then nothing is created.
absl::StatusOr<std::unique_ptr<Backend>> OpenLocalBackend(const std::string& db, bool create_if_missing);
absl::StatusOr<std::unique_ptr<Backend>> OpenRemoteBackend(const std::string& server);
absl::StatusOr<std::unique_ptr<Backend>> OpenBackend(const Address& address, bool create_if_missing = false);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_BACKEND_H_
