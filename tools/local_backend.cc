#include <utility>

#include "absl/time/clock.h"
#include "storage/status_macros.h"
#include "tools/backend.h"
#include "tools/kv_put.h"

namespace larder::tools {
namespace {

// A million entries are counted in two seconds.
constexpr absl::Duration kFillPatience = absl::Minutes(2);

class LocalBackend : public Backend {
 public:
  explicit LocalBackend(std::unique_ptr<Database> database) : database_(std::move(database)) {}

  absl::Status CreateCollection(absl::string_view name, const CollectionOptions& options) override {
    return database_->CreateCollection(name, options).status();
  }

  absl::StatusOr<CollectionDescription> DescribeCollection(absl::string_view name) override {
    ASSIGN_OR_RETURN(Collection collection, database_->GetCollection(name));
    return CollectionDescription{collection.Info(), collection.options()};
  }

  absl::StatusOr<std::vector<std::string>> ListCollections() override { return database_->ListCollections(); }

  absl::Status DropCollection(absl::string_view name) override { return database_->DropCollection(name); }

  absl::StatusOr<std::vector<UpsertResult>> Upsert(absl::string_view name,
                                                   absl::Span<const Document> documents,
                                                   const WriteOptions& options) override {
    ASSIGN_OR_RETURN(Collection collection, database_->GetCollection(name));
    return collection.Upsert(documents, options);
  }

  absl::StatusOr<Document> Get(absl::string_view name, absl::string_view id, absl::string_view tenant,
                               bool include_chunks) override {
    ASSIGN_OR_RETURN(Collection collection, database_->GetCollection(name));
    return collection.Get(id, tenant, include_chunks);
  }

  absl::StatusOr<std::vector<Chunk>> Chunks(absl::string_view name, absl::string_view id,
                                            absl::string_view tenant) override {
    ASSIGN_OR_RETURN(Collection collection, database_->GetCollection(name));
    return collection.Chunks(id, tenant);
  }

  absl::StatusOr<bool> Delete(absl::string_view name, absl::string_view id,
                              absl::string_view tenant) override {
    ASSIGN_OR_RETURN(Collection collection, database_->GetCollection(name));
    return collection.Delete(id, tenant);
  }

  absl::StatusOr<uint64_t> DeleteWhere(absl::string_view name, absl::string_view filter,
                                       absl::string_view tenant) override {
    ASSIGN_OR_RETURN(Collection collection, database_->GetCollection(name));
    return collection.DeleteWhere(filter, tenant);
  }

  absl::StatusOr<ScrollReply> Scroll(absl::string_view name, const ScrollRequest& request) override {
    ASSIGN_OR_RETURN(Collection collection, database_->GetCollection(name));
    return collection.Scroll(request);
  }

  absl::StatusOr<uint64_t> Count(absl::string_view name, absl::string_view filter,
                                 absl::string_view tenant) override {
    ASSIGN_OR_RETURN(Collection collection, database_->GetCollection(name));
    return collection.Count(filter, tenant);
  }

  absl::StatusOr<SearchReply> Search(absl::string_view name, const SearchRequest& request) override {
    ASSIGN_OR_RETURN(Collection collection, database_->GetCollection(name));
    return collection.Search(request);
  }

  absl::StatusOr<std::string> RegisterProfile(const KvProfile& profile) override {
    return database_->kv().RegisterProfile(profile);
  }

  absl::StatusOr<KvProfile> GetProfile(absl::string_view profile_id) override {
    return database_->kv().GetProfile(profile_id);
  }

  absl::StatusOr<std::vector<std::string>> ListProfiles() override { return database_->kv().ListProfiles(); }

  absl::Status PutKv(const KvPutRequest& request, absl::Span<const KvLayer> layers) override {
    return PutLayers(database_->kv(), request, layers);
  }

  absl::StatusOr<std::vector<KvLookup>> LookupKv(absl::Span<const KvKey> keys) override {
    return database_->kv().Lookup(keys);
  }

  absl::StatusOr<std::vector<KvLayer>> ReadKv(const KvReadRequest& request) override {
    return ReadLayers(database_->kv(), request);
  }

  absl::StatusOr<KvPlan> PlanKv(const KvPlanRequest& request) override {
    return database_->kv().Plan(request);
  }

  absl::StatusOr<bool> DeleteKv(const KvKey& key) override { return database_->kv().Delete(key); }
  absl::Status PinKv(const KvKey& key, bool pinned) override { return database_->kv().Pin(key, pinned); }
  absl::Status SetKvTtl(const KvKey& key, absl::Duration ttl) override { return database_->kv().SetTtl(key, ttl); }
  absl::Status SetKvQuota(absl::string_view tenant, std::optional<uint64_t> bytes) override {
    return database_->kv().SetQuota(tenant, bytes);
  }
  absl::StatusOr<KvStats> KvStatistics() override {
    const absl::Time until = absl::Now() + kFillPatience;
    while (true) {
      ASSIGN_OR_RETURN(KvStats stats, database_->kv().Stats());
      if (stats.directory_filled || absl::Now() > until) return stats;
      absl::SleepFor(absl::Milliseconds(5));
    }
  }

  absl::StatusOr<DatabaseStats> Stats() override { return database_->Stats(); }
  absl::StatusOr<VerifyReport> Verify() override { return database_->Verify(); }
  absl::Status Compact() override { return database_->Compact(); }
  absl::StatusOr<BackupInfo> Backup(absl::string_view place) override { return database_->Backup(place); }
  absl::StatusOr<std::vector<BackupInfo>> ListBackups(absl::string_view place) override {
    return Database::ListBackups(place);
  }
  absl::Status Close() override { return database_->Close(); }

 private:
  std::unique_ptr<Database> database_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Backend>> OpenLocalBackend(const std::string& db, bool create_if_missing) {
  OpenOptions options;
  options.create_if_missing = create_if_missing;
  ASSIGN_OR_RETURN(std::unique_ptr<Database> database, Database::Open(db, options));
  return std::make_unique<LocalBackend>(std::move(database));
}

}  // namespace larder::tools
