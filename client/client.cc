#include "larder/client.h"

#include <utility>

#include "client/client_impl.h"
#include "proto/convert.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

using CollectionsStub = v1::Collections::StubInterface;
using DocumentsStub = v1::Documents::StubInterface;
using SearchStub = v1::Search::StubInterface;
using AdminStub = v1::Admin::StubInterface;

std::string Copy(absl::string_view text) { return std::string(text); }

absl::StatusOr<v1::DescribeCollectionReply> Describe(const ClientImpl& impl, absl::string_view collection) {
  v1::DescribeCollectionRequest request;
  request.set_name(Copy(collection));
  v1::DescribeCollectionReply reply;
  RETURN_IF_ERROR(
      impl.Call(CallKind::kRead, *impl.stubs.collections, &CollectionsStub::Describe, request, &reply));
  return reply;
}

absl::Status WrongCount(const char* what, int found, size_t expected) {
  return absl::InternalError(absl::StrCat("the server answered ", found, " ", what, ", expected ", expected));
}

}  // namespace

Client::Client(std::unique_ptr<ClientImpl> impl) : impl_(std::move(impl)), kv_(impl_.get()) {}
Client::~Client() = default;

absl::StatusOr<CollectionInfo> Client::CreateCollection(absl::string_view name,
                                                        const CollectionOptions& options) {
  v1::CreateCollectionRequest request;
  request.set_name(Copy(name));
  RETURN_IF_ERROR(ToProto(options, request.mutable_options()));
  v1::DescribeCollectionReply reply;
  RETURN_IF_ERROR(
      impl_->Call(CallKind::kWrite, *impl_->stubs.collections, &CollectionsStub::Create, request, &reply));
  return FromProto(reply.info());
}

absl::StatusOr<CollectionInfo> Client::Info(absl::string_view collection) const {
  ASSIGN_OR_RETURN(const v1::DescribeCollectionReply reply, Describe(*impl_, collection));
  return FromProto(reply.info());
}

absl::StatusOr<CollectionOptions> Client::Options(absl::string_view collection) const {
  ASSIGN_OR_RETURN(const v1::DescribeCollectionReply reply, Describe(*impl_, collection));
  return FromProto(reply.options());
}

absl::StatusOr<std::vector<std::string>> Client::ListCollections() const {
  v1::ListCollectionsReply reply;
  RETURN_IF_ERROR(impl_->Call(CallKind::kRead, *impl_->stubs.collections, &CollectionsStub::List,
                              v1::ListCollectionsRequest(), &reply));
  return std::vector<std::string>(reply.names().begin(), reply.names().end());
}

absl::Status Client::DropCollection(absl::string_view name) {
  v1::DropCollectionRequest request;
  request.set_name(Copy(name));
  v1::DropCollectionReply reply;
  return impl_->Call(CallKind::kWrite, *impl_->stubs.collections, &CollectionsStub::Drop, request, &reply);
}

absl::StatusOr<std::vector<UpsertResult>> Client::Upsert(absl::string_view collection,
                                                         absl::Span<const Document> documents,
                                                         const WriteOptions& options) {
  v1::UpsertRequest request;
  request.set_collection(Copy(collection));
  request.set_sync(options.sync);
  for (const Document& document : documents) RETURN_IF_ERROR(ToProto(document, request.add_documents()));
  v1::UpsertReply reply;
  RETURN_IF_ERROR(
      impl_->Call(CallKind::kWrite, *impl_->stubs.documents, &DocumentsStub::Upsert, request, &reply));
  if (static_cast<size_t>(reply.results_size()) != documents.size()) {
    return WrongCount("results", reply.results_size(), documents.size());
  }
  std::vector<UpsertResult> results;
  results.reserve(documents.size());
  for (const v1::UpsertResult& result : reply.results()) results.push_back(FromProto(result));
  return results;
}

absl::StatusOr<UpsertResult> Client::Upsert(absl::string_view collection, const Document& document,
                                            const WriteOptions& options) {
  ASSIGN_OR_RETURN(std::vector<UpsertResult> results,
                   Upsert(collection, absl::MakeConstSpan(&document, 1), options));
  UpsertResult& result = results[0];
  if (result.error_code != 0) {
    return absl::Status(static_cast<absl::StatusCode>(result.error_code), result.error);
  }
  return std::move(result);
}

absl::StatusOr<Document> Client::Get(absl::string_view collection, absl::string_view id,
                                     absl::string_view tenant, bool include_chunks) const {
  v1::GetDocumentRequest request;
  request.set_collection(Copy(collection));
  request.set_id(Copy(id));
  request.set_tenant(Copy(tenant));
  request.set_include_chunks(include_chunks);
  v1::GetDocumentReply reply;
  RETURN_IF_ERROR(
      impl_->Call(CallKind::kRead, *impl_->stubs.documents, &DocumentsStub::Get, request, &reply));
  return FromProto(reply.document());
}

absl::StatusOr<std::vector<Chunk>> Client::Chunks(absl::string_view collection, absl::string_view id,
                                                  absl::string_view tenant) const {
  v1::ChunksRequest request;
  request.set_collection(Copy(collection));
  request.set_id(Copy(id));
  request.set_tenant(Copy(tenant));
  v1::ChunksReply reply;
  RETURN_IF_ERROR(
      impl_->Call(CallKind::kRead, *impl_->stubs.documents, &DocumentsStub::Chunks, request, &reply));
  std::vector<Chunk> chunks;
  chunks.reserve(reply.chunks_size());
  for (const v1::Chunk& sent : reply.chunks()) {
    ASSIGN_OR_RETURN(Chunk chunk, FromProto(sent));
    chunks.push_back(std::move(chunk));
  }
  return chunks;
}

absl::StatusOr<bool> Client::Delete(absl::string_view collection, absl::string_view id,
                                    absl::string_view tenant, const WriteOptions& options) {
  v1::DeleteDocumentRequest request;
  request.set_collection(Copy(collection));
  request.set_id(Copy(id));
  request.set_tenant(Copy(tenant));
  request.set_sync(options.sync);
  v1::DeleteDocumentReply reply;
  RETURN_IF_ERROR(
      impl_->Call(CallKind::kWrite, *impl_->stubs.documents, &DocumentsStub::Delete, request, &reply));
  return reply.existed();
}

absl::StatusOr<uint64_t> Client::DeleteWhere(absl::string_view collection, absl::string_view filter,
                                             absl::string_view tenant, const WriteOptions& options) {
  v1::DeleteWhereRequest request;
  request.set_collection(Copy(collection));
  request.set_filter(Copy(filter));
  request.set_tenant(Copy(tenant));
  request.set_sync(options.sync);
  v1::DeleteWhereReply reply;
  RETURN_IF_ERROR(
      impl_->Call(CallKind::kWrite, *impl_->stubs.documents, &DocumentsStub::DeleteWhere, request, &reply));
  return reply.documents();
}

absl::StatusOr<ScrollReply> Client::Scroll(absl::string_view collection, const ScrollRequest& request) const {
  v1::ScrollRequest sent;
  ToProto(request, &sent);
  sent.set_collection(Copy(collection));
  v1::ScrollReply reply;
  RETURN_IF_ERROR(
      impl_->Call(CallKind::kRead, *impl_->stubs.documents, &DocumentsStub::Scroll, sent, &reply));
  return FromProto(reply);
}

absl::StatusOr<uint64_t> Client::Count(absl::string_view collection, absl::string_view filter,
                                       absl::string_view tenant) const {
  v1::CountRequest request;
  request.set_collection(Copy(collection));
  if (!filter.empty()) request.set_filter(Copy(filter));
  request.set_tenant(Copy(tenant));
  v1::CountReply reply;
  RETURN_IF_ERROR(
      impl_->Call(CallKind::kRead, *impl_->stubs.documents, &DocumentsStub::Count, request, &reply));
  return reply.documents();
}

absl::StatusOr<SearchReply> Client::Search(absl::string_view collection, const SearchRequest& request) const {
  v1::SearchRequest sent;
  RETURN_IF_ERROR(ToProto(request, &sent));
  sent.set_collection(Copy(collection));
  v1::SearchReply reply;
  RETURN_IF_ERROR(impl_->Call(CallKind::kRead, *impl_->stubs.search, &SearchStub::Search, sent, &reply));
  return FromProto(reply);
}

absl::StatusOr<DatabaseStats> Client::Stats() const {
  v1::StatsReply reply;
  RETURN_IF_ERROR(
      impl_->Call(CallKind::kRead, *impl_->stubs.admin, &AdminStub::Stats, v1::StatsRequest(), &reply));
  return FromProto(reply);
}

absl::StatusOr<VerifyReport> Client::Verify() const {
  v1::VerifyReply reply;
  RETURN_IF_ERROR(impl_->Call(CallKind::kMaintenance, *impl_->stubs.admin, &AdminStub::Verify,
                              v1::VerifyRequest(), &reply));
  return FromProto(reply);
}

absl::Status Client::Compact() {
  v1::CompactReply reply;
  return impl_->Call(CallKind::kMaintenance, *impl_->stubs.admin, &AdminStub::Compact, v1::CompactRequest(),
                     &reply);
}

absl::StatusOr<BackupInfo> Client::Backup(absl::string_view name) const {
  v1::BackupRequest request;
  request.set_name(Copy(name));
  v1::BackupReply reply;
  RETURN_IF_ERROR(
      impl_->Call(CallKind::kMaintenance, *impl_->stubs.admin, &AdminStub::Backup, request, &reply));
  return FromProto(reply.backup());
}

absl::StatusOr<std::vector<BackupInfo>> Client::ListBackups(absl::string_view name) const {
  v1::ListBackupsRequest request;
  request.set_name(Copy(name));
  v1::ListBackupsReply reply;
  RETURN_IF_ERROR(
      impl_->Call(CallKind::kRead, *impl_->stubs.admin, &AdminStub::ListBackups, request, &reply));
  std::vector<BackupInfo> backups;
  for (const v1::BackupInfo& info : reply.backups()) backups.push_back(FromProto(info));
  return backups;
}

}  // namespace larder
