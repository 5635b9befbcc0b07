// The client: the library's verbs and values over gRPC, with the collection's name first. What a
// call does, and which errors it answers, is written in larder/collection.h, database.h and kv.h;
// the server's messages arrive unchanged. On top of those: Unavailable (no server, or it is
// stopping), DeadlineExceeded, ResourceExhausted (overload, or a message beyond the limit).
//
//   auto client = larder::Client::Connect({.address = "127.0.0.1:7614"});
//   (*client)->Upsert("docs", {.id = "1", .text = "Carrots keep for months in damp sand."});
//   auto reply = (*client)->Search("docs", {.text = "how do I store root vegetables?"});
//
// Links neither engine nor index nor storage, and shows no gRPC header.
#ifndef LARDER_CLIENT_H_
#define LARDER_CLIENT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "larder/database.h"  // the values VerifyReport, BackupInfo, DatabaseStats
#include "larder/kv_stats.h"
#include "larder/kv_types.h"
#include "larder/options.h"
#include "larder/types.h"

namespace larder {

class ClientImpl;

struct ClientOptions {
  std::string address = "127.0.0.1:7614";
  absl::Duration deadline = absl::Seconds(60);           // of a call
  absl::Duration maintenance_deadline = absl::Hours(1);  // of Verify, Compact, Backup
  int64_t max_message_bytes = int64_t{64} << 20;         // either way; 64 KiB to 1 GiB

  absl::Status Validate() const;
};

// Thread-safe.
class KvClient {
 public:
  explicit KvClient(ClientImpl* impl) : impl_(impl) {}

  absl::StatusOr<std::string> RegisterProfile(const KvProfile& profile);
  absl::StatusOr<KvProfile> GetProfile(absl::string_view profile_id) const;
  absl::StatusOr<std::vector<std::string>> ListProfiles() const;

  absl::StatusOr<KvPutHandle> PutBegin(const KvPutRequest& request);
  // Travels in parts, so a layer may be larger than a message.
  absl::Status PutLayer(KvPutHandle handle, uint32_t layer, absl::string_view k, absl::string_view v);
  absl::Status PutSidecar(KvPutHandle handle, KvSidecarKind kind, absl::string_view bytes);
  absl::Status PutCommit(KvPutHandle handle);
  absl::Status PutAbort(KvPutHandle handle);
  absl::StatusOr<uint32_t> AddOwners(const KvKey& key, absl::Span<const KvOwner> owners);

  absl::StatusOr<std::vector<KvLookup>> Lookup(absl::Span<const KvKey> keys) const;
  absl::StatusOr<std::vector<KvLayer>> Get(const KvKey& key, uint32_t first = 0, uint32_t count = 0) const;
  absl::Status Read(absl::Span<const KvReadRequest> requests, KvReadSink sink) const;
  absl::StatusOr<std::string> GetSidecar(const KvKey& key, KvSidecarKind kind) const;
  absl::StatusOr<KvPlan> Plan(const KvPlanRequest& request) const;
  absl::StatusOr<bool> Delete(const KvKey& key);

  absl::Status Pin(const KvKey& key, bool pinned = true);
  absl::Status SetTtl(const KvKey& key, absl::Duration ttl);
  absl::Status SetQuota(absl::string_view tenant, std::optional<uint64_t> bytes);
  absl::StatusOr<KvStats> Stats() const;

 private:
  ClientImpl* const impl_;
};

// Thread-safe; one connection, shared by all threads. Reads that find the server unavailable are
// tried a second time; writes never are, since the first may have been done.
class Client {
 public:
  // Does not wait for the server: the first call tells whether it is there. InvalidArgument for
  // options out of range.
  static absl::StatusOr<std::unique_ptr<Client>> Connect(const ClientOptions& options = {});
  explicit Client(std::unique_ptr<ClientImpl> impl);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  absl::StatusOr<CollectionInfo> CreateCollection(absl::string_view name, const CollectionOptions& options);
  absl::StatusOr<CollectionInfo> Info(absl::string_view collection) const;
  absl::StatusOr<CollectionOptions> Options(absl::string_view collection) const;
  absl::StatusOr<std::vector<std::string>> ListCollections() const;
  absl::Status DropCollection(absl::string_view name);

  absl::StatusOr<std::vector<UpsertResult>> Upsert(absl::string_view collection,
                                                   absl::Span<const Document> documents,
                                                   const WriteOptions& options = {});
  absl::StatusOr<UpsertResult> Upsert(absl::string_view collection, const Document& document,
                                      const WriteOptions& options = {});
  absl::StatusOr<Document> Get(absl::string_view collection, absl::string_view id,
                               absl::string_view tenant = "", bool include_chunks = false) const;
  absl::StatusOr<std::vector<Chunk>> Chunks(absl::string_view collection, absl::string_view id,
                                            absl::string_view tenant = "") const;
  absl::StatusOr<bool> Delete(absl::string_view collection, absl::string_view id,
                              absl::string_view tenant = "", const WriteOptions& options = {});
  absl::StatusOr<uint64_t> DeleteWhere(absl::string_view collection, absl::string_view filter,
                                       absl::string_view tenant = "", const WriteOptions& options = {});
  absl::StatusOr<ScrollReply> Scroll(absl::string_view collection, const ScrollRequest& request) const;
  absl::StatusOr<uint64_t> Count(absl::string_view collection, absl::string_view filter = "",
                                 absl::string_view tenant = "") const;
  absl::StatusOr<SearchReply> Search(absl::string_view collection, const SearchRequest& request) const;

  KvClient& kv() { return kv_; }

  absl::StatusOr<DatabaseStats> Stats() const;
  absl::StatusOr<VerifyReport> Verify() const;
  absl::Status Compact();
  // `name` is a directory under the server's --backup-root.
  absl::StatusOr<BackupInfo> Backup(absl::string_view name) const;
  absl::StatusOr<std::vector<BackupInfo>> ListBackups(absl::string_view name) const;

 private:
  const std::unique_ptr<ClientImpl> impl_;
  KvClient kv_;
};

}  // namespace larder

#endif  // LARDER_CLIENT_H_
