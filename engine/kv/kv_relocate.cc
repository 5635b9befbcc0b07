#include "engine/kv/kv_relocate.h"

#include <string>
#include <utility>

#include "engine/kv/kv_entry.h"
#include "engine/kv/kv_keys.h"
#include "storage/status_macros.h"

namespace larder::kv {
namespace {

using storage::ExtentPointer;
using storage::Table;
using storage::WriteBatch;

// False if the entry does not hold `from`.
bool Replace(const ExtentPointer& from, const ExtentPointer& to, Entry* entry) {
  for (EntryLayer& layer : entry->layers) {
    for (ExtentPointer* pointer : {&layer.k, &layer.v}) {
      if (!(*pointer == from)) continue;
      *pointer = to;
      return true;
    }
  }
  for (EntrySidecar& sidecar : entry->sidecars) {
    if (!(sidecar.bytes == from)) continue;
    sidecar.bytes = to;
    return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<bool> Relocate(KvContext* context, const storage::ExtentOwner& owner,
                              const ExtentPointer& from, const ExtentPointer& to, WriteBatch* batch) {
  const KeyLocks::Held held = context->entry_locks.Acquire({owner.key});
  const auto record = context->store->Get(Table::kKvEntries, owner.key);
  if (absl::IsNotFound(record.status()) || absl::IsDataLoss(record.status())) return false;
  RETURN_IF_ERROR(record.status());
  auto entry = DecodeEntry(*record, EntryName(owner.key));
  if (!entry.ok() || !Replace(from, to, &*entry)) return false;
  batch->Put(Table::kKvEntries, owner.key, EncodeEntry(*std::move(entry)));
  // Not synced: until garbage collection has made it durable, `from` stays where it is.
  const auto written = context->store->Write(std::exchange(*batch, WriteBatch()), /*sync=*/false);
  RETURN_IF_ERROR(written.status());
  return true;
}

}  // namespace larder::kv
