#include "engine/kv/kv_stream.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/kv/kv_payload.h"
#include "engine/kv/kv_read.h"
#include "engine/kv/kv_read_ahead.h"
#include "engine/kv/kv_shared.h"
#include "engine/kv/kv_tier.h"
#include "storage/status_macros.h"

namespace larder::kv {
namespace {

using storage::ExtentPointer;

// One request on its way.
struct Object {
  const KvReadRequest* request = nullptr;
  std::string entry_key;
  EntryHeader expected;
  bool moved_codec = false;  // what is read ahead is in the old one
  Entry entry;
  std::optional<LayerDecoder> decoder;
  uint32_t first_layer = 0, end_layer = 0;
  absl::Status status;
  SharedEntry shared;

  bool Wants(uint32_t layer) const { return first_layer <= layer && layer < end_layer; }
};

std::string LayerName(uint32_t layer, const char* side) { return absl::StrCat("layer ", layer, " ", side); }

absl::Status CheckLayers(const KvReadRequest& request, Object* object) {
  const uint64_t layers = object->entry.layers.size();
  const uint64_t first = request.first_layer;
  const uint64_t end = request.layers == 0 ? layers : first + request.layers;
  if (first >= layers || end > layers) {
    return absl::InvalidArgumentError(absl::StrCat(EntryName(object->entry_key), ": layers ", first, " to ",
                                                   std::max(end, first + 1) - 1, ", expected within 0 to ",
                                                   layers - 1));
  }
  object->first_layer = static_cast<uint32_t>(first);
  object->end_layer = static_cast<uint32_t>(end);
  return absl::OkStatus();
}

absl::Status Prepare(KvContext* context, const KvReadRequest& request, Object* object) {
  object->request = &request;
  ASSIGN_OR_RETURN(object->entry_key, EntryKey(request.key));
  ASSIGN_OR_RETURN(object->expected, HeaderFor(request.key));
  ASSIGN_OR_RETURN(object->entry, ReadOrDrop(context, object->entry_key, object->expected));
  ASSIGN_OR_RETURN(const auto profile, context->profiles.Get(request.key.profile_id));
  RETURN_IF_ERROR(CheckLayers(request, object));
  ASSIGN_OR_RETURN(object->decoder, LayerDecoder::Make(*profile, object->entry.header, request));
  const bool whole = object->end_layer - object->first_layer == object->entry.layers.size();
  object->shared = SharedEntry(context, object->entry_key, object->entry, object->expected, whole);
  return absl::OkStatus();
}

// An entry that was demoted while it was read goes on in its new codec.
absl::Status FollowCodec(KvContext* context, const EntryHeader& header, Object* object) {
  if (header.codec == object->entry.header.codec) return absl::OkStatus();
  if (object->request->encoded) {
    return absl::UnavailableError(absl::StrCat(EntryName(object->entry_key), ": its codec is ", header.codec,
                                               " since it was demoted, and was ", object->entry.header.codec,
                                               " when the read began"));
  }
  ASSIGN_OR_RETURN(const auto profile, context->profiles.Get(header.profile_id));
  object->entry.header = header;
  object->moved_codec = true;
  ASSIGN_OR_RETURN(object->decoder, LayerDecoder::Make(*profile, header, *object->request));
  return absl::OkStatus();
}

// What the two extents of a layer came to, or the layer read anew if one of them did not come or is not what
// the decoder is for.
absl::StatusOr<std::vector<std::string>> BothOf(KvContext* context, Object* object, uint32_t layer,
                                                absl::StatusOr<std::string> k,
                                                absl::StatusOr<std::string> v) {
  if (k.ok() && v.ok() && !object->moved_codec) {
    std::vector<std::string> both;
    both.push_back(*std::move(k));
    both.push_back(*std::move(v));
    return both;
  }
  EntryHeader header;  // of the record that was read last
  const auto pick = [layer, &header](const Entry& entry) -> absl::StatusOr<Picked> {
    header = entry.header;
    if (layer >= entry.layers.size()) return absl::NotFoundError(absl::StrCat("kv read: no layer ", layer));
    return Picked{{entry.layers[layer].k, entry.layers[layer].v},
                  {LayerName(layer, "K"), LayerName(layer, "V")}};
  };
  ASSIGN_OR_RETURN(std::vector<std::string> both, ReadPicked(context, object->entry_key, object->expected, pick));
  RETURN_IF_ERROR(FollowCodec(context, header, object));
  return both;
}

class Reader {
 public:
  // Takes the strings of a KvLayer, if it likes.
  using Sink = absl::FunctionRef<bool(size_t object, const absl::Status& status, KvLayer* layer)>;
  Reader(KvContext* context, Sink sink) : context_(context), sink_(sink) {}

  void Run(absl::Span<const KvReadRequest> requests) {
    for (size_t i = 0; i < requests.size(); ++i) {
      Object& object = objects_.emplace_back();
      object.status = Prepare(context_, requests[i], &object);
      KvLayer none{requests[i].first_layer, "", ""};
      if (!object.status.ok() && !sink_(i, object.status, &none)) return;
    }
    Order();
    if (order_.empty()) return;
    ReadAhead ahead(context_->extents, Pointers());
    for (const auto& [layer, index] : order_) {
      absl::StatusOr<std::string> k = Next(layer, index, KvSide::kKey, &ahead);
      absl::StatusOr<std::string> v = Next(layer, index, KvSide::kValue, &ahead);
      if (objects_[index].status.ok() && !Deliver(layer, index, std::move(k), std::move(v))) return;
    }
    for (Object& object : objects_) object.shared.Publish(context_, object.entry_key, object.expected);
  }

 private:
  void Order() {
    uint32_t end = 0;
    for (const Object& object : objects_) end = std::max(end, object.status.ok() ? object.end_layer : 0);
    for (uint32_t layer = 0; layer < end; ++layer) {
      for (size_t i = 0; i < objects_.size(); ++i) {
        if (objects_[i].status.ok() && objects_[i].Wants(layer)) order_.push_back({layer, i});
      }
    }
  }

  absl::StatusOr<std::string> Next(uint32_t layer, size_t index, KvSide side, ReadAhead* ahead) const {
    const Object& object = objects_[index];
    if (!object.shared.there()) return ahead->Next();
    const KvLayerView view = object.shared.Layer(layer);
    return std::string(side == KvSide::kKey ? view.k : view.v);
  }

  std::vector<ExtentPointer> Pointers() const {
    std::vector<ExtentPointer> pointers;
    for (const auto& [layer, index] : order_) {
      if (objects_[index].shared.there()) continue;
      const EntryLayer& extents = objects_[index].entry.layers[layer];
      pointers.insert(pointers.end(), {extents.k, extents.v});
    }
    return pointers;
  }

  bool Deliver(uint32_t layer, size_t index, absl::StatusOr<std::string> k, absl::StatusOr<std::string> v) {
    Object& object = objects_[index];
    KvLayer decoded{layer, "", ""};
    object.status = Decode(&object, BothOf(context_, &object, layer, std::move(k), std::move(v)), &decoded);
    if (object.status.ok()) {
      context_->tier->Served(object.entry_key, layer == 0, 1.0 / static_cast<double>(object.entry.layers.size()),
                             object.shared.there());
    }
    return sink_(index, object.status, &decoded);
  }

  static absl::Status Decode(Object* object, absl::StatusOr<std::vector<std::string>> both,
                             KvLayer* decoded) {
    RETURN_IF_ERROR(both.status());
    object->shared.Keep(decoded->layer, (*both)[0], (*both)[1]);
    decoded->k = std::move((*both)[0]);
    decoded->v = std::move((*both)[1]);
    absl::Status status = object->decoder->Decode(KvSide::kKey, &decoded->k);
    if (status.ok()) status = object->decoder->Decode(KvSide::kValue, &decoded->v);
    if (status.ok()) return status;
    return absl::Status(status.code(), absl::StrCat(EntryName(object->entry_key), ": layer ", decoded->layer,
                                                    ": ", status.message()));
  }

  KvContext* const context_;
  const Sink sink_;
  std::vector<Object> objects_;
  std::vector<std::pair<uint32_t, size_t>> order_;  // layer, object
};

}  // namespace

absl::Status Read(KvContext* context, absl::Span<const KvReadRequest> requests, KvReadSink sink) {
  if (requests.size() > kMaxObjects) {
    return absl::InvalidArgumentError(
        absl::StrCat("kv read: found ", requests.size(), " objects, expected at most ", kMaxObjects));
  }
  const auto show = [&](size_t object, const absl::Status& status, KvLayer* layer) {
    return sink({.object = object, .status = status, .layer = layer->layer, .k = layer->k, .v = layer->v});
  };
  Reader(context, show).Run(requests);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<KvLayer>> Get(KvContext* context, const KvKey& key, uint32_t first,
                                         uint32_t count) {
  std::vector<KvLayer> layers;
  absl::Status status;
  const auto keep = [&](size_t, const absl::Status& read, KvLayer* layer) {
    status = read;
    if (read.ok()) layers.push_back(std::move(*layer));
    return read.ok();
  };
  const KvReadRequest request{.key = key, .first_layer = first, .layers = count};
  Reader(context, keep).Run({&request, 1});
  RETURN_IF_ERROR(status);
  return layers;
}

}  // namespace larder::kv
