#include <utility>

#include "larder/client.h"
#include "storage/status_macros.h"
#include "tools/backend.h"
#include "tools/kv_put.h"

namespace larder::tools {
namespace {

class RemoteBackend : public Backend {
 public:
  explicit RemoteBackend(std::unique_ptr<Client> client) : client_(std::move(client)) {}

  absl::Status CreateCollection(absl::string_view name, const CollectionOptions& options) override {
    return client_->CreateCollection(name, options).status();
  }

  absl::StatusOr<CollectionDescription> DescribeCollection(absl::string_view name) override {
    CollectionDescription description;
    ASSIGN_OR_RETURN(description.info, client_->Info(name));
    ASSIGN_OR_RETURN(description.options, client_->Options(name));
    return description;
  }

  absl::StatusOr<std::vector<std::string>> ListCollections() override { return client_->ListCollections(); }

  absl::Status DropCollection(absl::string_view name) override { return client_->DropCollection(name); }

  absl::StatusOr<std::vector<UpsertResult>> Upsert(absl::string_view collection,
                                                   absl::Span<const Document> documents,
                                                   const WriteOptions& options) override {
    return client_->Upsert(collection, documents, options);
  }

  absl::StatusOr<Document> Get(absl::string_view collection, absl::string_view id, absl::string_view tenant,
                               bool include_chunks) override {
    return client_->Get(collection, id, tenant, include_chunks);
  }

  absl::StatusOr<std::vector<Chunk>> Chunks(absl::string_view collection, absl::string_view id,
                                            absl::string_view tenant) override {
    return client_->Chunks(collection, id, tenant);
  }

  absl::StatusOr<bool> Delete(absl::string_view collection, absl::string_view id,
                              absl::string_view tenant) override {
    return client_->Delete(collection, id, tenant);
  }

  absl::StatusOr<uint64_t> DeleteWhere(absl::string_view collection, absl::string_view filter,
                                       absl::string_view tenant) override {
    return client_->DeleteWhere(collection, filter, tenant);
  }

  absl::StatusOr<ScrollReply> Scroll(absl::string_view collection, const ScrollRequest& request) override {
    return client_->Scroll(collection, request);
  }

  absl::StatusOr<uint64_t> Count(absl::string_view collection, absl::string_view filter,
                                 absl::string_view tenant) override {
    return client_->Count(collection, filter, tenant);
  }

  absl::StatusOr<SearchReply> Search(absl::string_view collection, const SearchRequest& request) override {
    return client_->Search(collection, request);
  }

  absl::StatusOr<std::string> RegisterProfile(const KvProfile& profile) override {
    return client_->kv().RegisterProfile(profile);
  }

  absl::StatusOr<KvProfile> GetProfile(absl::string_view profile_id) override {
    return client_->kv().GetProfile(profile_id);
  }

  absl::StatusOr<std::vector<std::string>> ListProfiles() override { return client_->kv().ListProfiles(); }

  absl::Status PutKv(const KvPutRequest& request, absl::Span<const KvLayer> layers) override {
    return PutLayers(client_->kv(), request, layers);
  }

  absl::StatusOr<std::vector<KvLookup>> LookupKv(absl::Span<const KvKey> keys) override {
    return client_->kv().Lookup(keys);
  }

  absl::StatusOr<std::vector<KvLayer>> ReadKv(const KvReadRequest& request) override {
    return ReadLayers(client_->kv(), request);
  }

  absl::StatusOr<KvPlan> PlanKv(const KvPlanRequest& request) override { return client_->kv().Plan(request); }

  absl::StatusOr<bool> DeleteKv(const KvKey& key) override { return client_->kv().Delete(key); }
  absl::Status PinKv(const KvKey& key, bool pinned) override { return client_->kv().Pin(key, pinned); }
  absl::Status SetKvTtl(const KvKey& key, absl::Duration ttl) override { return client_->kv().SetTtl(key, ttl); }
  absl::Status SetKvQuota(absl::string_view tenant, std::optional<uint64_t> bytes) override {
    return client_->kv().SetQuota(tenant, bytes);
  }
  absl::StatusOr<KvStats> KvStatistics() override { return client_->kv().Stats(); }

  absl::StatusOr<DatabaseStats> Stats() override { return client_->Stats(); }
  absl::StatusOr<VerifyReport> Verify() override { return client_->Verify(); }
  absl::Status Compact() override { return client_->Compact(); }
  absl::StatusOr<BackupInfo> Backup(absl::string_view place) override { return client_->Backup(place); }
  absl::StatusOr<std::vector<BackupInfo>> ListBackups(absl::string_view place) override {
    return client_->ListBackups(place);
  }
  absl::Status Close() override { return absl::OkStatus(); }

 private:
  std::unique_ptr<Client> client_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Backend>> OpenRemoteBackend(const std::string& server) {
  ClientOptions options;
  options.address = server;
  ASSIGN_OR_RETURN(std::unique_ptr<Client> client, Client::Connect(options));
  return std::make_unique<RemoteBackend>(std::move(client));
}

}  // namespace larder::tools
