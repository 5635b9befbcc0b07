// A collection in memory, for the tests of larder-ingest: counts what is asked of it, fails on demand.
#ifndef LARDER_TOOLS_INGEST_FAKE_BACKEND_H_
#define LARDER_TOOLS_INGEST_FAKE_BACKEND_H_

#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "tools/backend.h"

namespace larder::tools {

// Thread-safe.
class FakeBackend : public tools::Backend {
 public:
  // The next calls of Upsert fail with these, one each, before they store anything.
  void FailCalls(std::deque<absl::Status> failures) {
    absl::MutexLock lock(&mutex_);
    failures_ = std::move(failures);
  }
  // Documents with this id are refused.
  void Refuse(const std::string& id, absl::Status status) {
    absl::MutexLock lock(&mutex_);
    refused_[id] = std::move(status);
  }
  std::vector<std::string> order() {
    absl::MutexLock lock(&mutex_);
    return order_;
  }
  std::map<std::string, Document> documents() {
    absl::MutexLock lock(&mutex_);
    return documents_;
  }
  int upsert_calls() {
    absl::MutexLock lock(&mutex_);
    return upsert_calls_;
  }

  absl::StatusOr<std::vector<UpsertResult>> Upsert(absl::string_view, absl::Span<const Document> documents,
                                                   const WriteOptions&) override {
    absl::MutexLock lock(&mutex_);
    ++upsert_calls_;
    if (!failures_.empty()) {
      absl::Status failure = failures_.front();
      failures_.pop_front();
      if (!failure.ok()) return failure;
    }
    std::vector<UpsertResult> results;
    for (const Document& document : documents) {
      UpsertResult result;
      result.id = document.id;
      if (auto found = refused_.find(document.id); found != refused_.end()) {
        result.error_code = static_cast<int>(found->second.code());
        result.error = std::string(found->second.message());
        if (absl::IsUnavailable(found->second)) refused_.erase(found);  // once
      } else {
        const uint64_t version = documents_[document.id].version + 1;
        documents_[document.id] = document;
        documents_[document.id].version = result.version = version;
        result.chunks = 1;
        order_.push_back(document.id);
      }
      results.push_back(std::move(result));
    }
    return results;
  }
  absl::StatusOr<Document> Get(absl::string_view, absl::string_view id, absl::string_view, bool) override {
    absl::MutexLock lock(&mutex_);
    auto found = documents_.find(std::string(id));
    if (found == documents_.end()) return absl::NotFoundError("no such document");
    return found->second;
  }

  absl::Status CreateCollection(absl::string_view, const CollectionOptions&) override { return None(); }
  absl::StatusOr<CollectionDescription> DescribeCollection(absl::string_view) override { return None(); }
  absl::StatusOr<std::vector<std::string>> ListCollections() override { return None(); }
  absl::Status DropCollection(absl::string_view) override { return None(); }
  absl::StatusOr<std::vector<Chunk>> Chunks(absl::string_view, absl::string_view,
                                            absl::string_view) override {
    return None();
  }
  absl::StatusOr<bool> Delete(absl::string_view, absl::string_view, absl::string_view) override {
    return None();
  }
  absl::StatusOr<uint64_t> DeleteWhere(absl::string_view, absl::string_view, absl::string_view) override {
    return None();
  }
  absl::StatusOr<ScrollReply> Scroll(absl::string_view, const ScrollRequest&) override { return None(); }
  absl::StatusOr<uint64_t> Count(absl::string_view, absl::string_view, absl::string_view) override {
    return None();
  }
  absl::StatusOr<SearchReply> Search(absl::string_view, const SearchRequest&) override { return None(); }
  absl::StatusOr<std::string> RegisterProfile(const KvProfile&) override { return None(); }
  absl::StatusOr<KvProfile> GetProfile(absl::string_view) override { return None(); }
  absl::StatusOr<std::vector<std::string>> ListProfiles() override { return None(); }
  absl::Status PutKv(const KvPutRequest&, absl::Span<const KvLayer>) override { return None(); }
  absl::StatusOr<std::vector<KvLookup>> LookupKv(absl::Span<const KvKey>) override { return None(); }
  absl::StatusOr<std::vector<KvLayer>> ReadKv(const KvReadRequest&) override { return None(); }
  absl::StatusOr<KvPlan> PlanKv(const KvPlanRequest&) override { return None(); }
  absl::StatusOr<bool> DeleteKv(const KvKey&) override { return None(); }
  absl::Status PinKv(const KvKey&, bool) override { return None(); }
  absl::Status SetKvTtl(const KvKey&, absl::Duration) override { return None(); }
  absl::Status SetKvQuota(absl::string_view, std::optional<uint64_t>) override { return None(); }
  absl::StatusOr<KvStats> KvStatistics() override { return None(); }
  absl::StatusOr<DatabaseStats> Stats() override { return None(); }
  absl::StatusOr<VerifyReport> Verify() override { return None(); }
  absl::Status Compact() override { return None(); }
  absl::StatusOr<BackupInfo> Backup(absl::string_view) override { return None(); }
  absl::StatusOr<std::vector<BackupInfo>> ListBackups(absl::string_view) override { return None(); }
  absl::Status Close() override { return absl::OkStatus(); }

 private:
  static absl::Status None() { return absl::UnimplementedError("not in the fake"); }

  absl::Mutex mutex_;
  std::deque<absl::Status> failures_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, absl::Status> refused_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Document> documents_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> order_ ABSL_GUARDED_BY(mutex_);
  int upsert_calls_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace larder::tools

#endif  // LARDER_TOOLS_INGEST_FAKE_BACKEND_H_
