#include "index/tree/tree_drop.h"

#include <string>

#include "absl/strings/string_view.h"
#include "storage/coding.h"

namespace larder::index {
namespace {

constexpr size_t kTagAt = 8;  // behind space and tenant
constexpr absl::string_view kWithPointers = "pgc";  // which their values begin with
constexpr size_t kPointerBytes = 24;

}  // namespace

absl::Status AppendTreeDrop(const storage::Store& store, storage::ExtentStore* extents, uint32_t space,
                            storage::WriteBatch* batch) {
  std::string prefix;
  storage::AppendKey32(space, &prefix);
  absl::Status damage;
  const auto it = store.NewIterator(storage::Table::kTree, prefix);
  for (; it->Valid(); it->Next()) {
    if (it->key().size() <= kTagAt || kWithPointers.find(it->key()[kTagAt]) == absl::string_view::npos) continue;
    const absl::StatusOr<absl::string_view> value = it->value();
    const absl::StatusOr<storage::ExtentPointer> held =
        value.ok() ? storage::DecodePointer(value->substr(0, kPointerBytes)) : value.status();
    damage.Update(held.status());
    if (held.ok()) extents->Release(*held, batch);
  }
  damage.Update(it->status());
  batch->DeleteRange(storage::Table::kTree, prefix, storage::PrefixEnd(prefix));
  return damage;
}

}  // namespace larder::index
