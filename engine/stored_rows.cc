#include "engine/stored_rows.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/keys.h"
#include "engine/records.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

using storage::Table;

// One row in so many wanted: then walking past the others is cheaper than a look-up each.
constexpr uint64_t kDense = 4;

}  // namespace

std::vector<uint64_t> ToVector(const index::VidSet& set) {
  std::vector<uint64_t> vids;
  vids.reserve(set.size());
  set.ForEach([&](uint64_t vid) {
    vids.push_back(vid);
    return true;
  });
  return vids;
}

absl::Status StoredRows::Take(absl::string_view bytes, uint64_t vid, float* out) const {
  ASSIGN_OR_RETURN(const std::vector<float> row, DecodeVector(bytes, dimension_, absl::StrCat("vector of vid ", vid)));
  std::copy(row.begin(), row.end(), out);
  return absl::OkStatus();
}

absl::Status StoredRows::Read(absl::Span<const uint64_t> vids, float* out, std::vector<size_t>* missing) const {
  missing->clear();
  if (vids.empty()) return absl::OkStatus();
  const bool dense = (vids.back() - vids.front()) / vids.size() < kDense;
  return dense ? ReadDense(vids, out, missing) : ReadSparse(vids, out, missing);
}

absl::Status StoredRows::ReadDense(absl::Span<const uint64_t> vids, float* out, std::vector<size_t>* missing) const {
  const auto it = store_->NewIterator(Table::kVectors, SpacePrefix(collection_, space_));
  it->Seek(VectorKey(collection_, space_, vids[0]));
  for (size_t i = 0; i < vids.size(); ++i) {
    while (it->Valid() && VidOfKey(it->key()) < vids[i]) it->Next();
    if (!it->Valid() || VidOfKey(it->key()) != vids[i]) {
      missing->push_back(i);
      continue;
    }
    ASSIGN_OR_RETURN(const absl::string_view bytes, it->value());
    RETURN_IF_ERROR(Take(bytes, vids[i], out + i * dimension_));
  }
  return it->status();
}

absl::Status StoredRows::ReadSparse(absl::Span<const uint64_t> vids, float* out, std::vector<size_t>* missing) const {
  std::vector<std::string> keys;
  for (const uint64_t vid : vids) keys.push_back(VectorKey(collection_, space_, vid));
  const auto rows = store_->MultiGet(Table::kVectors, keys);
  for (size_t i = 0; i < vids.size(); ++i) {
    if (absl::IsNotFound(rows[i].status())) {
      missing->push_back(i);
      continue;
    }
    RETURN_IF_ERROR(rows[i].status());
    RETURN_IF_ERROR(Take(*rows[i], vids[i], out + i * dimension_));
  }
  return absl::OkStatus();
}

absl::Status StoredSource::Read(uint64_t first, size_t count, index::Vid* vids, float* out) const {
  const auto wanted = absl::MakeConstSpan(vids_).subspan(first, count);
  std::copy(wanted.begin(), wanted.end(), vids);
  std::vector<size_t> missing;
  RETURN_IF_ERROR(rows_.Read(wanted, out, &missing));
  for (const size_t i : missing) {
    std::fill_n(out + i * rows_.dimension(), rows_.dimension(), 0.0f);
    out[i * rows_.dimension()] = 1;
  }
  return absl::OkStatus();
}

}  // namespace larder
