#include "engine/kv/kv_demote.h"

#include <algorithm>
#include <iterator>
#include <new>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/kv/kv_entry.h"
#include "engine/kv/kv_payload.h"
#include "engine/kv/kv_read.h"
#include "engine/kv/kv_summary.h"
#include "engine/kv/kv_tier.h"
#include "larder/kv_codec.h"
#include "storage/status_macros.h"

namespace larder::kv {
namespace {

using storage::ExtentPointer;
using storage::Table;

constexpr absl::string_view kSteps[] = {"raw", "int8", "int4"};

// Layers of the smaller entry; forgotten unless they were committed.
class NewLayers {
 public:
  explicit NewLayers(storage::ExtentStore* extents) : extents_(extents) {}
  ~NewLayers() {
    for (const ExtentPointer& pointer : pointers_) extents_->Forget(pointer);
  }
  NewLayers(const NewLayers&) = delete;
  NewLayers& operator=(const NewLayers&) = delete;

  absl::StatusOr<ExtentPointer> Append(absl::string_view payload) {
    ASSIGN_OR_RETURN(const ExtentPointer pointer, extents_->Append(payload));
    pointers_.push_back(pointer);
    return pointer;
  }
  uint64_t Bytes() const {
    uint64_t bytes = 0;
    for (const ExtentPointer& pointer : pointers_) bytes += pointer.length;
    return bytes;
  }
  void Committed() { pointers_.clear(); }

 private:
  storage::ExtentStore* const extents_;
  std::vector<ExtentPointer> pointers_;
};

absl::StatusOr<std::string> Reencode(absl::string_view from, absl::string_view to, KvSide side,
                                     const KvTensorShape& shape, absl::string_view payload) {
  if (from == "raw") return EncodeKv(to, side, shape, payload);
  KvEncoding encoding;
  ASSIGN_OR_RETURN(encoding.lost, KvPayloadError(from, side, shape, payload));
  std::string tensor;
  try {
    tensor.resize(shape.Bytes());
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat("kv demote: no memory for ", shape.Bytes(), " bytes"));
  }
  const KvTarget target = ContiguousTarget({reinterpret_cast<std::byte*>(tensor.data()), tensor.size()}, shape.dtype,
                                           shape.heads, shape.dim);
  RETURN_IF_ERROR(DecodeKv(from, side, shape, payload, {}, nullptr, target));
  return EncodeKv(to, side, shape, tensor, encoding);
}

absl::StatusOr<EntryLayer> DemoteLayer(KvContext* context, const std::string& entry_key, const Entry& entry,
                                       uint32_t layer, const KvTensorShape& shape, absl::string_view codec,
                                       NewLayers* appended) {
  const auto pick = [&](const Entry& now) -> absl::StatusOr<Picked> {
    if (now.header.codec != entry.header.codec || layer >= now.layers.size()) {
      return absl::AbortedError(absl::StrCat(EntryName(entry_key), " was replaced while it was demoted"));
    }
    return Picked{{now.layers[layer].k, now.layers[layer].v},
                  {absl::StrCat("layer ", layer, " K"), absl::StrCat("layer ", layer, " V")}};
  };
  ASSIGN_OR_RETURN(const std::vector<std::string> payloads, ReadPicked(context, entry_key, entry.header, pick));
  EntryLayer demoted;
  for (const KvSide side : {KvSide::kKey, KvSide::kValue}) {
    const std::string& payload = payloads[static_cast<size_t>(side)];
    ASSIGN_OR_RETURN(const std::string smaller, Reencode(entry.header.codec, codec, side, shape, payload));
    ASSIGN_OR_RETURN((side == KvSide::kKey ? demoted.k : demoted.v), appended->Append(smaller));
  }
  return demoted;
}

bool SameContents(const Entry& a, const Entry& b) {
  const std::vector<ExtentPointer> ours = PointersOf(a), theirs = PointersOf(b);
  return a.header.codec == b.header.codec &&
         std::equal(ours.begin(), ours.end(), theirs.begin(), theirs.end(),
                    [](const ExtentPointer& x, const ExtentPointer& y) {
                      return x.length == y.length && x.crc32c == y.crc32c;  // garbage collection may move it
                    });
}

// Under the entry's lock: one batch, unless the entry is not what it was, or must stay so.
absl::StatusOr<bool> Replace(KvContext* context, const std::string& entry_key, const Entry& before, Entry smaller) {
  const KeyLocks::Held held = context->entry_locks.Acquire({entry_key});
  const std::string summary_key = SummaryKey(HashOf(entry_key));
  ASSIGN_OR_RETURN(const Entry now, ReadEntry(*context->store, entry_key, before.header));
  ASSIGN_OR_RETURN(const std::string row, context->store->Get(Table::kKvOwners, summary_key));
  ASSIGN_OR_RETURN(Summary summary, DecodeSummary(row, "kv summary"));
  if (summary.pinned || !SameContents(before, now)) return false;
  smaller.sidecars = now.sidecars;
  summary.bytes = SummaryOf(entry_key, smaller, 0).bytes;
  storage::WriteBatch batch;
  for (const EntryLayer& layer : now.layers) {
    for (const ExtentPointer& pointer : {layer.k, layer.v}) context->extents->Release(pointer, &batch);
  }
  for (const EntryLayer& layer : smaller.layers) {
    for (const ExtentPointer& pointer : {layer.k, layer.v}) {
      context->extents->Reference(pointer, {Table::kKvEntries, entry_key}, &batch);
    }
  }
  batch.Put(Table::kKvEntries, entry_key, EncodeEntry(std::move(smaller)));
  batch.Put(Table::kKvOwners, summary_key, EncodeSummary(summary));
  // What is in shared memory is the entry as it was: one entry, one encoding.
  if (context->pool != nullptr) context->pool->Drop(entry_key);
  // Not synced: what is lost is done again, and no file goes before the record that gave it up is durable.
  const auto written = context->store->Write(std::move(batch), /*sync=*/false);
  context->tier->Refresh(entry_key);
  RETURN_IF_ERROR(written.status());
  return true;
}

}  // namespace

std::string DemotedCodec(const KvProfile& profile, absl::string_view codec, absl::string_view last) {
  if (!profile.k_before_rope) return "";
  const auto* const here = std::find(std::begin(kSteps), std::end(kSteps), codec);
  const auto* const end = std::find(std::begin(kSteps), std::end(kSteps), last);
  if (here == std::end(kSteps) || end == std::end(kSteps) || here >= end) return "";
  return std::string(*(here + 1));
}

bool MayBeKeptAs(const KvProfile& profile, absl::string_view codec) {
  std::string step = profile.codec;
  while (!step.empty() && step != codec) step = DemotedCodec(profile, step, kSteps[std::size(kSteps) - 1]);
  return !step.empty();
}

absl::StatusOr<bool> Demote(KvContext* context, const std::string& entry_key, absl::string_view last) {
  ASSIGN_OR_RETURN(const std::string record, context->store->Get(Table::kKvEntries, entry_key));
  ASSIGN_OR_RETURN(const Entry entry, DecodeEntry(record, EntryName(entry_key)));
  ASSIGN_OR_RETURN(const auto profile, context->profiles.Get(entry.header.profile_id));
  const std::string codec = DemotedCodec(*profile, entry.header.codec, last);
  if (codec.empty()) return false;
  const KvTensorShape shape = ShapeOf(*profile, entry.header.token_count);
  NewLayers appended(context->extents);
  Entry smaller = entry;
  smaller.header.codec = codec;
  for (uint32_t layer = 0; layer < entry.layers.size(); ++layer) {
    ASSIGN_OR_RETURN(smaller.layers[layer],
                     DemoteLayer(context, entry_key, entry, layer, shape, codec, &appended));
  }
  if (appended.Bytes() >= entry.header.bytes) return false;
  RETURN_IF_ERROR(context->extents->Sync());
  ASSIGN_OR_RETURN(const bool replaced, Replace(context, entry_key, entry, std::move(smaller)));
  if (replaced) appended.Committed();
  return replaced;
}

}  // namespace larder::kv
