#include "engine/tree_state.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"

namespace larder {

absl::StatusOr<TreeState> ReadTreeState(const storage::Store& store, uint32_t collection, uint16_t space) {
  TreeState state;
  const auto bytes = store.Get(storage::Table::kMeta, TreeStateKey(collection, space));
  if (absl::IsNotFound(bytes.status())) return state;
  RETURN_IF_ERROR(bytes.status());
  storage::RecordReader in(*bytes, 1, absl::StrCat("tree state of collection ", collection, ", space ", space));
  state.active = in.U8();
  state.building = in.U8();
  state.built_rows = in.U64();
  const absl::string_view vids = in.Bytes();
  RETURN_IF_ERROR(in.status());
  if (state.active > 2 || state.building > 2 || (state.building != 0 && state.building == state.active)) {
    return absl::DataLossError(absl::StrCat("tree state: slots ", state.active, " and ", state.building));
  }
  ASSIGN_OR_RETURN(state.building_vids, index::VidSet::Deserialize(vids));
  return state;
}

void PutTreeState(uint32_t collection, uint16_t space, const TreeState& state, storage::WriteBatch* batch) {
  storage::RecordWriter out(1);
  out.U8(state.active);
  out.U8(state.building);
  out.U64(state.built_rows);
  out.Bytes(state.building_vids.Serialize());
  batch->Put(storage::Table::kMeta, TreeStateKey(collection, space), std::move(out).Finish());
}

}  // namespace larder
