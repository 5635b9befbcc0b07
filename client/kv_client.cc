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

// Puts the layers of a Read together and hands each to the sink.
class ReadReceiver {
 public:
  ReadReceiver(size_t objects, KvReadSink sink)
      : objects_(objects), sink_(sink), assembler_(kMostLayerBytes) {}

  // False once the sink has enough.
  absl::StatusOr<bool> Add(const v1::KvReadReply& reply) {
    if (reply.object() >= objects_ || (!assembler_.empty() && reply.object() != object_)) {
      return absl::InternalError(
          absl::StrCat("the server's answer: object ", reply.object(), " out of place"));
    }
    object_ = reply.object();
    if (reply.code() != 0) {
      if (!assembler_.empty()) return absl::InternalError("the server's answer: a failure within a layer");
      const absl::Status failed(static_cast<absl::StatusCode>(reply.code()), reply.message());
      return sink_({.object = object_, .status = failed, .layer = reply.part().layer(), .k = "", .v = ""});
    }
    if (const absl::Status added = assembler_.Add(reply.part()); !added.ok()) {
      return absl::InternalError(absl::StrCat("the server's answer: ", added.message()));
    }
    if (!assembler_.complete()) return true;
    const KvLayer layer = assembler_.Take();
    return sink_({.object = object_, .status = {}, .layer = layer.layer, .k = layer.k, .v = layer.v});
  }
  bool within_layer() const { return !assembler_.empty(); }

 private:
  const size_t objects_;
  const KvReadSink sink_;
  LayerAssembler assembler_;
  size_t object_ = 0;
};

absl::Status Deliver(grpc::ClientContext* context, grpc::ClientReaderInterface<v1::KvReadReply>* reader,
                     size_t objects, KvReadSink sink, bool* delivered) {
  ReadReceiver receiver(objects, sink);
  absl::StatusOr<bool> more = true;
  v1::KvReadReply reply;
  while (reader->Read(&reply)) {
    if (!more.ok() || !*more) continue;  // cancelled: drain what is under way
    *delivered = true;
    more = receiver.Add(reply);
    if (!more.ok() || !*more) context->TryCancel();
  }
  const absl::Status finished = FromGrpc(reader->Finish());
  RETURN_IF_ERROR(more.status());
  if (!*more) return absl::OkStatus();
  RETURN_IF_ERROR(finished);
  return receiver.within_layer() ? absl::InternalError("the server's answer ended within a layer")
                                 : absl::OkStatus();
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
  RETURN_IF_ERROR(ToProto(request, &sent));
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

absl::Status KvClient::PutSidecar(KvPutHandle handle, KvSidecarKind kind, absl::string_view bytes) {
  v1::PutSidecarRequest request;
  request.set_handle(handle);
  ASSIGN_OR_RETURN(const v1::KvSidecarKind sent, ToProto(kind));
  request.set_kind(sent);
  request.set_data(bytes.data(), bytes.size());
  v1::PutSidecarReply reply;
  return impl_->Call(CallKind::kWrite, *impl_->stubs.kv, &KvStub::PutSidecar, request, &reply);
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

absl::Status KvClient::Read(absl::Span<const KvReadRequest> requests, KvReadSink sink) const {
  v1::KvReadRequest sent;
  for (const KvReadRequest& request : requests) ToProto(request, sent.add_objects());
  RETURN_IF_ERROR(CheckUtf8(sent));
  bool delivered = false;
  absl::Status status;
  const auto attempt = [&](absl::Time until) {
    if (delivered) return status;  // what the sink has taken must not come twice
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(until));
    const auto reader = impl_->stubs.kv->Read(&context, sent);
    status = Deliver(&context, reader.get(), requests.size(), sink, &delivered);
    return status;
  };
  return impl_->Try(CallKind::kRead, attempt);
}

absl::StatusOr<std::string> KvClient::GetSidecar(const KvKey& key, KvSidecarKind kind) const {
  v1::GetSidecarRequest request;
  ToProto(key, request.mutable_key());
  ASSIGN_OR_RETURN(const v1::KvSidecarKind sent, ToProto(kind));
  request.set_kind(sent);
  v1::GetSidecarReply reply;
  RETURN_IF_ERROR(impl_->Call(CallKind::kRead, *impl_->stubs.kv, &KvStub::GetSidecar, request, &reply));
  return std::move(*reply.mutable_data());
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
