#include "engine/kv/kv_shared.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/kv/kv_entry.h"
#include "engine/kv/kv_read.h"
#include "engine/kv/kv_summary.h"
#include "engine/kv/kv_tier.h"
#include "storage/status_macros.h"

namespace larder {

class KvView::State {
 public:
  State(std::shared_ptr<kv::KvPool> pool, kv::PoolGrant grant, std::vector<absl::string_view> payloads)
      : pool(std::move(pool)), grant(std::move(grant)), payloads(std::move(payloads)) {}
  ~State() { pool->Release(kv::kThisProcess, grant.lease).IgnoreError(); }

  const std::shared_ptr<kv::KvPool> pool;
  const kv::PoolGrant grant;
  const std::vector<absl::string_view> payloads;  // [layer][K|V]
};

uint32_t KvView::layers() const { return state_ == nullptr ? 0 : state_->grant.layers; }
uint32_t KvView::tokens() const { return state_ == nullptr ? 0 : state_->grant.tokens; }
const std::string& KvView::codec() const {
  static const std::string* const kNone = new std::string;
  return state_ == nullptr ? *kNone : state_->grant.codec;
}

std::optional<uint32_t> KvView::rotated_from() const {
  return state_ == nullptr ? std::nullopt : state_->grant.rotated_from;
}

absl::StatusOr<KvLayerView> KvView::Layer(uint32_t layer) const {
  if (state_ == nullptr) return absl::FailedPreconditionError("kv view: it was released");
  if (layer >= state_->grant.layers) {
    return absl::InvalidArgumentError(
        absl::StrCat("kv view: layer ", layer, ", expected 0 to ", state_->grant.layers - 1));
  }
  return KvLayerView{state_->payloads[2 * layer], state_->payloads[2 * layer + 1]};
}

namespace kv {
namespace {

using storage::ExtentPointer;

constexpr int kAttempts = 4;

// Of prefill, at each hit: the disk tier knows it, unless its directory is still being filled.
double SavedSeconds(const KvContext& context, const std::string& entry_key, const EntryHeader& header,
                    size_t layers) {
  const auto known = context.tier->directory().Find(HashOf(entry_key));
  return known.has_value() ? known->saved_seconds : EstimateSeconds(header.token_count, layers);
}

// The same bytes, wherever they lie: garbage collection may have moved them.
bool SameContents(const std::vector<ExtentPointer>& a, const std::vector<ExtentPointer>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const ExtentPointer& x, const ExtentPointer& y) {
    return x.length == y.length && x.crc32c == y.crc32c;
  });
}

Picked LayersOf(const Entry& entry) {
  Picked picked;
  for (size_t i = 0; i < entry.layers.size(); ++i) {
    picked.pointers.insert(picked.pointers.end(), {entry.layers[i].k, entry.layers[i].v});
    for (const char* const side : {"K", "V"}) picked.names.push_back(absl::StrCat("layer ", i, " ", side));
  }
  return picked;
}

// Publishes what was read of `entry`, if that is still what the store has. Who deletes an entry holds its
// lock until the deletion is written: what is there now is published before it can go.
absl::Status PublishIfCurrent(KvContext* context, const std::string& entry_key, const EntryHeader& expected,
                              const std::vector<ExtentPointer>& read, PoolFill fill) {
  const KeyLocks::Held held = context->entry_locks.Acquire({entry_key});
  ASSIGN_OR_RETURN(const Entry now, ReadEntry(*context->store, entry_key, expected));
  if (!SameContents(read, LayersOf(now).pointers)) return absl::NotFoundError("the entry was replaced");
  std::move(fill).Publish();
  return absl::OkStatus();
}

absl::StatusOr<PoolFill> ReserveFor(KvContext* context, const std::string& entry_key, const EntryHeader& header,
                                    const std::vector<ExtentPointer>& pointers) {
  std::vector<uint64_t> lengths;
  lengths.reserve(pointers.size());
  for (const ExtentPointer& pointer : pointers) lengths.push_back(pointer.length);
  const double seconds = SavedSeconds(*context, entry_key, header, pointers.size() / 2);
  return context->pool->Reserve(entry_key, header, lengths, seconds);
}

}  // namespace

absl::Status CheckPool(const KvContext& context) {
  if (context.pool != nullptr) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "the database has no shared memory for KV: OpenOptions::kv_pool_bytes is 0");
}

absl::Status Promote(KvContext* context, const std::string& entry_key, const EntryHeader& expected) {
  RETURN_IF_ERROR(CheckPool(*context));
  if (context->pool->Contains(entry_key)) return absl::OkStatus();
  EntryHeader header;
  std::vector<ExtentPointer> pointers;
  const auto all = [&](const Entry& entry) -> absl::StatusOr<Picked> {
    Picked picked = LayersOf(entry);
    header = entry.header;
    pointers = picked.pointers;
    return picked;
  };
  ASSIGN_OR_RETURN(const std::vector<std::string> payloads, ReadPicked(context, entry_key, expected, all));
  ASSIGN_OR_RETURN(PoolFill fill, ReserveFor(context, entry_key, header, pointers));
  for (size_t i = 0; i < payloads.size(); ++i) fill.Write(static_cast<uint32_t>(i), payloads[i]);
  return PublishIfCurrent(context, entry_key, expected, pointers, std::move(fill));
}

absl::Status Share(KvContext* context, const std::string& entry_key, const Entry& entry,
                   absl::Span<const std::string> payloads) {
  const std::vector<ExtentPointer> pointers = LayersOf(entry).pointers;
  EntryHeader header = entry.header;
  header.bytes = 0;
  for (const ExtentPointer& pointer : pointers) header.bytes += pointer.length;
  ASSIGN_OR_RETURN(PoolFill fill, ReserveFor(context, entry_key, header, pointers));
  for (size_t i = 0; i < payloads.size(); ++i) fill.Write(static_cast<uint32_t>(i), payloads[i]);
  return PublishIfCurrent(context, entry_key, entry.header, pointers, std::move(fill));
}

absl::StatusOr<PoolGrant> AcquireGrant(KvContext* context, ClientId client, const KvKey& key) {
  RETURN_IF_ERROR(CheckPool(*context));
  ASSIGN_OR_RETURN(const std::string entry_key, EntryKey(key));
  ASSIGN_OR_RETURN(const EntryHeader expected, HeaderFor(key));
  RETURN_IF_ERROR(context->tier->CheckNotExpired(entry_key));
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto grant = context->pool->Acquire(client, entry_key, expected);
    if (grant.ok()) context->tier->Served(entry_key, /*first=*/true, /*share=*/1.0, /*from_memory=*/attempt == 0);
    if (!absl::IsNotFound(grant.status())) return grant;
    RETURN_IF_ERROR(Promote(context, entry_key, expected));
  }
  return absl::UnavailableError(
      absl::StrCat(EntryName(entry_key), " was evicted ", kAttempts, " times while it was acquired"));
}

namespace {

absl::StatusOr<KvView> ViewOf(const std::shared_ptr<KvPool>& pool, PoolGrant grant) {
  auto payloads = grant.segment->map().Payloads(grant.place, 2 * grant.layers);
  if (!payloads.ok()) {
    pool->Release(kThisProcess, grant.lease).IgnoreError();
    return payloads.status();
  }
  return KvView(std::make_shared<const KvView::State>(pool, std::move(grant), *std::move(payloads)));
}

}  // namespace

absl::StatusOr<KvView> AcquireView(KvContext* context, const KvKey& key) {
  ASSIGN_OR_RETURN(PoolGrant grant, AcquireGrant(context, kThisProcess, key));
  return ViewOf(context->pool, std::move(grant));
}

SharedEntry::SharedEntry(KvContext* context, const std::string& entry_key, const Entry& entry,
                         const EntryHeader& expected, bool whole) {
  if (context->pool == nullptr) return;
  auto grant = context->pool->Acquire(kThisProcess, entry_key, expected);
  if (grant.ok()) {
    auto view = ViewOf(context->pool, *std::move(grant));
    // The reader goes by the record that it has: a later version of the entry may be kept otherwise.
    const bool same = view.ok() && view->layers() == entry.layers.size() && view->codec() == entry.header.codec &&
                      view->rotated_from() == entry.header.rotated_from;
    if (same) view_ = *std::move(view);
    return;
  }
  if (!whole) return;
  pointers_ = LayersOf(entry).pointers;
  auto fill = ReserveFor(context, entry_key, entry.header, pointers_);
  if (fill.ok()) fill_.emplace(*std::move(fill));
}

void SharedEntry::Keep(uint32_t layer, absl::string_view k, absl::string_view v) {
  if (!fill_.has_value()) return;
  if (k.size() != pointers_[2 * layer].length || v.size() != pointers_[2 * layer + 1].length) {
    fill_.reset();  // it was replaced while it was read
    return;
  }
  fill_->Write(2 * layer, k);
  fill_->Write(2 * layer + 1, v);
  ++kept_;
}

void SharedEntry::Publish(KvContext* context, const std::string& entry_key, const EntryHeader& expected) {
  if (!fill_.has_value() || 2 * kept_ != pointers_.size()) return;
  // An entry that changed meanwhile is not published; its next reader brings it.
  PublishIfCurrent(context, entry_key, expected, pointers_, *std::move(fill_)).IgnoreError();
  fill_.reset();
}

}  // namespace kv
}  // namespace larder
