// KvClient: the KV cache's verbs. Tensors travel in parts (proto/kv_parts.h).
#include <utility>

#include "client/client_impl.h"
#include "proto/convert.h"
#include "proto/kv_parts.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

using KvStub = v1::Kv::StubInterface;

// Nothing bounds what the engine may store but its own limits on a layer.
constexpr uint64_t kMostLayerBytes = uint64_t{1} << 40;

absl::StatusOr<std::vector<KvLayer>> Collect(grpc::ClientContext* context,
                                             grpc::ClientReaderInterface<v1::KvPart>* reader) {
  std::vector<KvLayer> layers;
  LayerAssembler assembler(kMostLayerBytes);
  absl::Status status;
  v1::KvPart part;
  while (reader->Read(&part)) {
    if (!status.ok()) continue;  // cancelled: drain what is under way
    status = assembler.Add(part);
    if (!status.ok()) context->TryCancel();
    if (status.ok() && assembler.complete()) layers.push_back(assembler.Take());
  }
  const absl::Status finished = FromGrpc(reader->Finish());
  if (!status.ok()) return absl::InternalError(absl::StrCat("the server's answer: ", status.message()));
  RETURN_IF_ERROR(finished);
  if (!assembler.empty()) return absl::InternalError("the server's answer ended within a layer");
  return layers;
}

}  // namespace

absl::StatusOr<std::string> KvClient::RegisterProfile(const KvProfile& profile) {
  v1::RegisterProfileRequest request;
  RETURN_IF_ERROR(ToProto(profile, request.mutable_profile()));
  v1::RegisterProfileReply reply;
  RETURN_IF_ERROR(impl_->Call(CallKind::kWrite, *impl_->stubs.kv, &KvStub::RegisterProfile, request, &reply));
  return reply.profile_id();
}

absl::StatusOr<KvProfile> KvClient::GetProfile(absl::string_view profile_id) const {
  v1::GetProfileRequest request;
  request.set_profile_id(std::string(profile_id));
  v1::GetProfileReply reply;
  RETURN_IF_ERROR(impl_->Call(CallKind::kRead, *impl_->stubs.kv, &KvStub::GetProfile, request, &reply));
  return FromProto(reply.profile());
}

absl::StatusOr<std::vector<std::string>> KvClient::ListProfiles() const {
  v1::ListProfilesReply reply;
  RETURN_IF_ERROR(impl_->Call(CallKind::kRead, *impl_->stubs.kv, &KvStub::ListProfiles,
                              v1::ListProfilesRequest(), &reply));
  return std::vector<std::string>(reply.profile_ids().begin(), reply.profile_ids().end());
}

absl::StatusOr<KvPutHandle> KvClient::PutBegin(const KvPutRequest& request) {
  v1::PutBeginRequest sent;
  ToProto(request, &sent);
  v1::PutBeginReply reply;
  RETURN_IF_ERROR(impl_->Call(CallKind::kWrite, *impl_->stubs.kv, &KvStub::PutBegin, sent, &reply));
  return reply.handle();
}

absl::Status KvClient::PutLayer(KvPutHandle handle, uint32_t layer, absl::string_view k,
                                absl::string_view v) {
  return impl_->Try(CallKind::kWrite, [&](absl::Time until) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(until));
    v1::PutLayerReply reply;
    const auto writer = impl_->stubs.kv->PutLayer(&context, &reply);
    v1::PutLayerRequest request;
    request.set_handle(handle);
    // A write that fails means that the server has answered already; Finish tells what.
    const bool sent = SplitLayer(layer, k, v, [&](v1::KvPart part) {
      *request.mutable_part() = std::move(part);
      return writer->Write(request);
    });
    if (sent) writer->WritesDone();
    return FromGrpc(writer->Finish());
  });
}

absl::Status KvClient::PutCommit(KvPutHandle handle) {
  v1::PutCommitRequest request;
  request.set_handle(handle);
  v1::PutCommitReply reply;
  return impl_->Call(CallKind::kWrite, *impl_->stubs.kv, &KvStub::PutCommit, request, &reply);
}

absl::Status KvClient::PutAbort(KvPutHandle handle) {
  v1::PutAbortRequest request;
  request.set_handle(handle);
  v1::PutAbortReply reply;
  return impl_->Call(CallKind::kWrite, *impl_->stubs.kv, &KvStub::PutAbort, request, &reply);
}

absl::StatusOr<uint32_t> KvClient::AddOwners(const KvKey& key, absl::Span<const KvOwner> owners) {
  v1::AddOwnersRequest request;
  ToProto(key, request.mutable_key());
  for (const KvOwner& owner : owners) ToProto(owner, request.add_owners());
  v1::AddOwnersReply reply;
  RETURN_IF_ERROR(impl_->Call(CallKind::kWrite, *impl_->stubs.kv, &KvStub::AddOwners, request, &reply));
  return reply.added();
}

absl::StatusOr<std::vector<KvLookup>> KvClient::Lookup(absl::Span<const KvKey> keys) const {
  v1::LookupRequest request;
  for (const KvKey& key : keys) ToProto(key, request.add_keys());
  v1::LookupReply reply;
  RETURN_IF_ERROR(impl_->Call(CallKind::kRead, *impl_->stubs.kv, &KvStub::Lookup, request, &reply));
  if (static_cast<size_t>(reply.answers_size()) != keys.size()) {
    return absl::InternalError(
        absl::StrCat("the server answered ", reply.answers_size(), " lookups, expected ", keys.size()));
  }
  std::vector<KvLookup> lookups;
  lookups.reserve(keys.size());
  for (const v1::LookupReply::Answer& answer : reply.answers()) lookups.push_back(FromProto(answer));
  return lookups;
}

absl::StatusOr<std::vector<KvLayer>> KvClient::Get(const KvKey& key, uint32_t first, uint32_t count) const {
  v1::KvGetRequest request;
  ToProto(key, request.mutable_key());
  request.set_first_layer(first);
  request.set_layers(count);
  RETURN_IF_ERROR(CheckUtf8(request));
  std::vector<KvLayer> layers;
  RETURN_IF_ERROR(impl_->Try(CallKind::kRead, [&](absl::Time until) -> absl::Status {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(until));
    const auto reader = impl_->stubs.kv->Get(&context, request);
    ASSIGN_OR_RETURN(layers, Collect(&context, reader.get()));
    return absl::OkStatus();
  }));
  return layers;
}

absl::StatusOr<KvPlan> KvClient::Plan(const KvPlanRequest& request) const {
  v1::PlanRequest sent;
  ToProto(request, &sent);
  v1::PlanReply reply;
  RETURN_IF_ERROR(impl_->Call(CallKind::kRead, *impl_->stubs.kv, &KvStub::Plan, sent, &reply));
  return FromProto(reply);
}

absl::StatusOr<bool> KvClient::Delete(const KvKey& key) {
  v1::KvDeleteRequest request;
  ToProto(key, request.mutable_key());
  v1::KvDeleteReply reply;
  RETURN_IF_ERROR(impl_->Call(CallKind::kWrite, *impl_->stubs.kv, &KvStub::Delete, request, &reply));
  return reply.existed();
}

}  // namespace larder
