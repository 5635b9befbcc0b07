#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "larder/v1/kv.grpc.pb.h"
#include "proto/convert.h"
#include "proto/kv_parts.h"
#include "rpc/call.h"
#include "rpc/services.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

using grpc::ServerContext;

// What the engine reads ahead for one reader, at most (engine/kv/kv_read_ahead.h).
constexpr uint64_t kReadAheadBytes = uint64_t{16} << 20;

// Receives one layer; the share holds what it announced.
class LayerReceiver {
 public:
  LayerReceiver(Admission* admission, uint64_t max_bytes) : admission_(admission), assembler_(max_bytes) {}

  absl::Status Add(const v1::PutLayerRequest& request) {
    if (assembler_.empty()) handle_ = request.handle();
    if (request.handle() != handle_) {
      return absl::InvalidArgumentError(
          absl::StrCat("PutLayer: handle ", request.handle(), " after ", handle_, " in one call"));
    }
    if (assembler_.complete()) return absl::InvalidArgumentError("PutLayer: more than one layer in one call");
    RETURN_IF_ERROR(assembler_.Add(request.part()));
    const uint64_t announced = assembler_.announced_bytes();
    if (announced > held_bytes_) {
      ASSIGN_OR_RETURN(Quota::Share share, admission_->bytes.Take(announced - held_bytes_));
      shares_.push_back(std::move(share));
      held_bytes_ = announced;
    }
    return absl::OkStatus();
  }

  absl::Status PutTo(KvCache* kv) {
    if (!assembler_.complete())
      return absl::InvalidArgumentError("PutLayer: the call ended within the layer");
    const KvLayer layer = assembler_.Take();
    return kv->PutLayer(handle_, layer.layer, layer.k, layer.v);
  }

 private:
  Admission* const admission_;
  LayerAssembler assembler_;
  KvPutHandle handle_ = 0;
  uint64_t held_bytes_ = 0;
  std::vector<Quota::Share> shares_;  // of K, of V
};

class KvService final : public v1::Kv::Service {
 public:
  explicit KvService(const ServiceContext& context) : context_(context) {}

  grpc::Status RegisterProfile(ServerContext* call, const v1::RegisterProfileRequest* request,
                               v1::RegisterProfileReply* reply) override {
    return Serve(call, context_.admission, [&]() -> absl::Status {
      ASSIGN_OR_RETURN(const KvProfile profile, FromProto(request->profile()));
      ASSIGN_OR_RETURN(*reply->mutable_profile_id(), kv().RegisterProfile(profile));
      return absl::OkStatus();
    });
  }

  grpc::Status GetProfile(ServerContext* call, const v1::GetProfileRequest* request,
                          v1::GetProfileReply* reply) override {
    return Serve(call, context_.admission, [&]() -> absl::Status {
      ASSIGN_OR_RETURN(const KvProfile profile, kv().GetProfile(request->profile_id()));
      return ToProto(profile, reply->mutable_profile());
    });
  }

  grpc::Status ListProfiles(ServerContext* call, const v1::ListProfilesRequest*,
                            v1::ListProfilesReply* reply) override {
    return Serve(call, context_.admission, [&]() -> absl::Status {
      ASSIGN_OR_RETURN(std::vector<std::string> ids, kv().ListProfiles());
      for (std::string& id : ids) reply->add_profile_ids(std::move(id));
      return absl::OkStatus();
    });
  }

  grpc::Status PutBegin(ServerContext* call, const v1::PutBeginRequest* request,
                        v1::PutBeginReply* reply) override {
    return Serve(call, context_.admission, [&]() -> absl::Status {
      ASSIGN_OR_RETURN(const KvPutRequest put, FromProto(*request));
      ASSIGN_OR_RETURN(const KvPutHandle handle, kv().PutBegin(put));
      reply->set_handle(handle);
      return absl::OkStatus();
    });
  }

  grpc::Status PutLayer(ServerContext* call, grpc::ServerReader<v1::PutLayerRequest>* reader,
                        v1::PutLayerReply*) override {
    return Serve(call, context_.admission, [&]() -> absl::Status {
      LayerReceiver receiver(context_.admission, context_.max_layer_bytes);
      v1::PutLayerRequest request;
      while (reader->Read(&request)) RETURN_IF_ERROR(receiver.Add(request));
      RETURN_IF_ERROR(CheckStillWanted(*call));
      return receiver.PutTo(&kv());
    });
  }

  grpc::Status PutCommit(ServerContext* call, const v1::PutCommitRequest* request,
                         v1::PutCommitReply*) override {
    return Serve(call, context_.admission,
                 [&]() -> absl::Status { return kv().PutCommit(request->handle()); });
  }

  grpc::Status PutAbort(ServerContext* call, const v1::PutAbortRequest* request,
                        v1::PutAbortReply*) override {
    return Serve(call, context_.admission,
                 [&]() -> absl::Status { return kv().PutAbort(request->handle()); });
  }

  grpc::Status AddOwners(ServerContext* call, const v1::AddOwnersRequest* request,
                         v1::AddOwnersReply* reply) override {
    return Serve(call, context_.admission, [&]() -> absl::Status {
      RETURN_IF_ERROR(CheckBatch("owners", request->owners_size()));
      std::vector<KvOwner> owners;
      for (const v1::KvOwner& owner : request->owners()) owners.push_back(FromProto(owner));
      ASSIGN_OR_RETURN(const uint32_t added, kv().AddOwners(FromProto(request->key()), owners));
      reply->set_added(added);
      return absl::OkStatus();
    });
  }

  grpc::Status Lookup(ServerContext* call, const v1::LookupRequest* request,
                      v1::LookupReply* reply) override {
    return Serve(call, context_.admission, [&]() -> absl::Status {
      RETURN_IF_ERROR(CheckBatch("keys", request->keys_size()));
      std::vector<KvKey> keys;
      keys.reserve(request->keys_size());
      for (const v1::KvKey& key : request->keys()) keys.push_back(FromProto(key));
      ASSIGN_OR_RETURN(const std::vector<KvLookup> lookups, kv().Lookup(keys));
      for (const KvLookup& lookup : lookups) ToProto(lookup, reply->add_answers());
      return absl::OkStatus();
    });
  }

  grpc::Status Get(ServerContext* call, const v1::KvGetRequest* request,
                   grpc::ServerWriter<v1::KvPart>* writer) override {
    return Serve(call, context_.admission, [&]() -> absl::Status {
      const KvReadRequest read{.key = FromProto(request->key()),
                               .first_layer = request->first_layer(),
                               .layers = request->layers()};
      absl::Status failed;
      const absl::Status status = SendLayers(call, {&read, 1}, [&](const KvLayerRead& layer) {
        failed = layer.status;
        return failed.ok() && SplitLayer(layer.layer, layer.k, layer.v,
                                         [&](const v1::KvPart& part) { return writer->Write(part); });
      });
      return failed.ok() ? status : failed;
    });
  }

  grpc::Status Read(ServerContext* call, const v1::KvReadRequest* request,
                    grpc::ServerWriter<v1::KvReadReply>* writer) override {
    return Serve(call, context_.admission, [&]() -> absl::Status {
      RETURN_IF_ERROR(CheckBatch("objects", request->objects_size()));
      std::vector<KvReadRequest> objects;
      for (const v1::KvReadRequest::Object& object : request->objects()) objects.push_back(FromProto(object));
      return SendLayers(call, objects, [&](const KvLayerRead& layer) {
        v1::KvReadReply reply;
        reply.set_object(static_cast<uint32_t>(layer.object));
        if (layer.status.ok()) {
          return SplitLayer(layer.layer, layer.k, layer.v, [&](v1::KvPart part) {
            *reply.mutable_part() = std::move(part);
            return writer->Write(reply);
          });
        }
        reply.set_code(static_cast<int32_t>(layer.status.code()));
        reply.set_message(std::string(layer.status.message()));
        reply.mutable_part()->set_layer(layer.layer);
        return writer->Write(reply);
      });
    });
  }

  grpc::Status PutSidecar(ServerContext* call, const v1::PutSidecarRequest* request,
                          v1::PutSidecarReply*) override {
    return Serve(call, context_.admission, [&]() -> absl::Status {
      ASSIGN_OR_RETURN(const KvSidecarKind kind, FromProto(request->kind()));
      return kv().PutSidecar(request->handle(), kind, request->data());
    });
  }

  grpc::Status GetSidecar(ServerContext* call, const v1::GetSidecarRequest* request,
                          v1::GetSidecarReply* reply) override {
    return Serve(call, context_.admission, [&]() -> absl::Status {
      ASSIGN_OR_RETURN(const KvSidecarKind kind, FromProto(request->kind()));
      ASSIGN_OR_RETURN(*reply->mutable_data(), kv().GetSidecar(FromProto(request->key()), kind));
      return absl::OkStatus();
    });
  }

  grpc::Status Plan(ServerContext* call, const v1::PlanRequest* request, v1::PlanReply* reply) override {
    return Serve(call, context_.admission, [&]() -> absl::Status {
      RETURN_IF_ERROR(CheckBatch("chunks", request->chunks_size()));
      ASSIGN_OR_RETURN(const KvPlan plan, kv().Plan(FromProto(*request)));
      ToProto(plan, reply);
      return absl::OkStatus();
    });
  }

  grpc::Status Delete(ServerContext* call, const v1::KvDeleteRequest* request,
                      v1::KvDeleteReply* reply) override {
    return Serve(call, context_.admission, [&]() -> absl::Status {
      ASSIGN_OR_RETURN(const bool existed, kv().Delete(FromProto(request->key())));
      reply->set_existed(existed);
      return absl::OkStatus();
    });
  }

 private:
  KvCache& kv() { return context_.database->kv(); }

  // The share holds what the engine reads ahead, and each layer while it is sent.
  absl::Status SendLayers(ServerContext* call, absl::Span<const KvReadRequest> objects, KvReadSink send) {
    ASSIGN_OR_RETURN(const Quota::Share ahead, context_.admission->bytes.Take(kReadAheadBytes));
    absl::Status status;
    bool sent = true;
    const auto take = [&](const KvLayerRead& layer) {
      status = CheckStillWanted(*call);
      if (!status.ok()) return false;
      const auto share = context_.admission->bytes.Take(layer.k.size() + layer.v.size());
      status = share.status();
      return status.ok() && (sent = send(layer));
    };
    RETURN_IF_ERROR(kv().Read(objects, take));
    RETURN_IF_ERROR(status);
    return sent ? absl::OkStatus() : absl::CancelledError("the reader went away");
  }

  const ServiceContext context_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeKvService(const ServiceContext& context) {
  return std::make_unique<KvService>(context);
}

}  // namespace larder
