#include "index/flat_index.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "index/batch_scorer.h"
#include "index/top_k.h"
#include "index/vector_math.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

// A filter with fewer than one in so many of the rows is looked up vid by vid; a larger one is
// tested along the scan.
constexpr uint64_t kSparseFilter = 8;

template <typename T>
void ReserveMore(size_t more, std::vector<T>* values) {
  const size_t needed = values->size() + more;
  if (needed > values->capacity()) values->reserve(std::max(needed, values->size() + values->size() / 2));
}

}  // namespace

FlatIndex::FlatIndex(const IndexOptions& options)
    : options_(options), kernels_(SelectKernels(FormOf(options.metric))), rows_(options.dimension) {}

absl::Status FlatIndex::Reserve(size_t more) {
  if (more > std::numeric_limits<uint32_t>::max() - vids_.size()) {
    return absl::ResourceExhaustedError(
        absl::StrCat("flat index: ", vids_.size(), " and ", more, " more rows exceed its 2^32"));
  }
  try {
    rows_.Reserve(vids_.size() + more);
    ReserveMore(more, &vids_);
    ReserveMore(more, &removed_);
    if (options_.prefix > 0) ReserveMore(more, &prefix_scales_);
    row_of_.reserve(vids_.size() + more);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat("flat index: no memory for ", more, " more rows"));
  }
  return absl::OkStatus();
}

absl::Status FlatIndex::Add(absl::Span<const Vid> vids, absl::Span<const float> vectors) {
  RETURN_IF_ERROR(CheckAdd(vids, vectors, options_.dimension));
  absl::MutexLock writer(&writer_mutex_);
  absl::WriterMutexLock lock(&mutex_);
  RETURN_IF_ERROR(Reserve(vids.size()));
  const size_t base = vids_.size();
  for (size_t i = 0; i < vids.size(); ++i) {
    if (row_of_.try_emplace(vids[i], base + i).second) continue;
    for (size_t j = 0; j < i; ++j) row_of_.erase(vids[j]);
    return absl::AlreadyExistsError(absl::StrCat("add: vid ", vids[i], " was added before"));
  }
  for (size_t i = 0; i < vids.size(); ++i) {
    const auto vector = vectors.subspan(i * options_.dimension, options_.dimension);
    float* const row = rows_.Append();
    Canonicalize(vector, options_.metric, row);
    if (options_.prefix > 0) prefix_scales_.push_back(PrefixScale(row));
    vids_.push_back(vids[i]);
    removed_.push_back(0);
  }
  return absl::OkStatus();
}

void FlatIndex::Remove(absl::Span<const Vid> vids) {
  absl::MutexLock writer(&writer_mutex_);
  absl::WriterMutexLock lock(&mutex_);
  for (Vid vid : vids) {
    const auto it = row_of_.find(vid);
    if (it == row_of_.end() || removed_[it->second]) continue;
    removed_[it->second] = 1;
    ++tombstones_;
  }
}

const float* FlatIndex::Find(Vid vid) const {
  const auto it = row_of_.find(vid);
  return it == row_of_.end() || removed_[it->second] ? nullptr : rows_[it->second];
}

void FlatIndex::Scan(const std::vector<float>& query, const VidSet* filter, TopK* top) const {
  BatchScorer scorer(kernels_, query, top);
  for (size_t row = 0; row < vids_.size(); ++row) {
    if (removed_[row] || (filter != nullptr && !filter->Contains(vids_[row]))) continue;
    scorer.Add(vids_[row], rows_[row]);
  }
  scorer.Flush();
}

float FlatIndex::PrefixScale(const float* row) const {
  double squares = 0;
  for (size_t i = 0; i < options_.prefix; ++i) squares += static_cast<double>(row[i]) * row[i];
  return options_.metric == Metric::kCosine && squares > 0 ? static_cast<float>(1 / std::sqrt(squares)) : 1;
}

// The rows' own first numbers are read: no copy of them is kept.
void FlatIndex::ScanPrefixes(const std::vector<float>& query, const VidSet* filter, uint32_t ef, TopK* top) const {
  constexpr size_t kBatch = 32;
  const float* rows[kBatch];
  size_t numbers[kBatch], count = 0;
  float distances[kBatch];
  TopK nearest(ef, vids_.size());  // of row numbers
  const auto flush = [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {  // under the caller's lock
    kernels_.batch(query.data(), rows, count, options_.prefix, distances);
    for (size_t i = 0; i < count; ++i) {
      // The scale of the query's prefix is the same for all rows.
      if (options_.metric == Metric::kCosine) distances[i] = (distances[i] - 1) * prefix_scales_[numbers[i]];
      if (distances[i] <= nearest.worst()) nearest.Push({numbers[i], distances[i]});
    }
    count = 0;
  };
  for (size_t row = 0; row < vids_.size(); ++row) {
    if (removed_[row] || (filter != nullptr && !filter->Contains(vids_[row]))) continue;
    rows[count] = rows_[row];
    numbers[count] = row;
    if (++count == kBatch) flush();
  }
  flush();
  BatchScorer scorer(kernels_, query, top);
  const std::vector<Neighbor> found = std::move(nearest).Take();
  for (const Neighbor& near : found) scorer.AddFar(vids_[near.vid], rows_[near.vid]);
  scorer.Flush();
}

void FlatIndex::ScoreSet(const std::vector<float>& query, const VidSet& candidates, TopK* top) const {
  BatchScorer scorer(kernels_, query, top);
  candidates.ForEach([&](Vid vid) ABSL_NO_THREAD_SAFETY_ANALYSIS {  // under the caller's lock
    if (const float* row = Find(vid); row != nullptr) scorer.AddFar(vid, row);
    return true;
  });
  scorer.Flush();
}

absl::StatusOr<std::vector<Neighbor>> FlatIndex::Search(absl::Span<const float> query,
                                                        const SearchParams& params) const {
  if (params.k == 0) return absl::InvalidArgumentError("search: expected k of at least 1, found 0");
  ASSIGN_OR_RETURN(const std::vector<float> prepared, PrepareQuery(query, options_));
  absl::ReaderMutexLock lock(&mutex_);
  TopK top(params.k, vids_.size() - tombstones_);
  if (params.filter != nullptr && params.filter->size() < vids_.size() / kSparseFilter) {
    ScoreSet(prepared, *params.filter, &top);
  } else if (options_.prefix > 0 && params.ef < vids_.size()) {
    ScanPrefixes(prepared, params.filter, std::max(params.ef, params.k), &top);
  } else {
    Scan(prepared, params.filter, &top);
  }
  return std::move(top).Take();
}

absl::StatusOr<std::vector<Neighbor>> FlatIndex::Score(absl::Span<const float> query,
                                                       const VidSet& candidates, uint32_t k) const {
  return Search(query, {.k = k, .ef = std::numeric_limits<uint32_t>::max(), .filter = &candidates});
}

absl::StatusOr<std::vector<float>> FlatIndex::Vector(Vid vid) const {
  absl::ReaderMutexLock lock(&mutex_);
  const float* row = Find(vid);
  if (row == nullptr) return absl::NotFoundError(absl::StrCat("vid ", vid, " is not in the index"));
  return std::vector<float>(row, row + options_.dimension);
}

bool FlatIndex::Contains(Vid vid) const {
  absl::ReaderMutexLock lock(&mutex_);
  return Find(vid) != nullptr;
}

VidSet FlatIndex::LiveVids() const {
  absl::ReaderMutexLock lock(&mutex_);
  VidSet live;
  for (size_t row = 0; row < vids_.size(); ++row) {
    if (!removed_[row]) live.Add(vids_[row]);
  }
  return live;
}

IndexStats FlatIndex::Stats() const {
  absl::ReaderMutexLock lock(&mutex_);
  constexpr uint64_t kMapEntry = sizeof(Vid) + sizeof(uint32_t) + 5;  // slot of 16 and its control byte
  return {.live = vids_.size() - tombstones_,
          .tombstones = tombstones_,
          .resident_bytes = sizeof(*this) + rows_.bytes() + vids_.capacity() * sizeof(Vid) +
                            removed_.capacity() + prefix_scales_.capacity() * sizeof(float) +
                            row_of_.capacity() * kMapEntry};
}

absl::Status FlatIndex::Save(const std::string& path, absl::string_view tag) const {
  ASSIGN_OR_RETURN(SnapshotWriter writer, SnapshotWriter::Create(path));
  absl::MutexLock hold_writers(&writer_mutex_);
  absl::ReaderMutexLock lock(&mutex_);
  writer.BeginSection(SectionId::kTag);
  writer.Append(tag);
  writer.BeginSection(SectionId::kVids);
  writer.Append(vids_.data(), vids_.size() * sizeof(Vid));
  writer.BeginSection(SectionId::kTombstones);
  writer.Append(removed_.data(), removed_.size());
  writer.BeginSection(SectionId::kRows);
  for (size_t row = 0; row < rows_.size(); row += rows_.Contiguous(row)) {
    writer.Append(rows_[row], rows_.Contiguous(row) * options_.dimension * sizeof(float));
  }
  return writer.Finish({.options = options_, .count = vids_.size()});
}

absl::Status FlatIndex::ReadRows(SnapshotReader* reader) {
  const uint64_t count = reader->header().count;
  const uint64_t row_bytes = options_.dimension * sizeof(float);
  RETURN_IF_ERROR(reader->BeginSection(SectionId::kRows, row_bytes, count));
  RETURN_IF_ERROR(reader->BeginSection(SectionId::kVids, sizeof(Vid), count));
  RETURN_IF_ERROR(Reserve(count));  // no more than the file holds
  vids_.resize(count);
  RETURN_IF_ERROR(reader->Read(vids_.data(), count * sizeof(Vid)));
  RETURN_IF_ERROR(reader->EndSection());
  RETURN_IF_ERROR(reader->BeginSection(SectionId::kTombstones, 1, count));
  removed_.resize(count);
  RETURN_IF_ERROR(reader->Read(removed_.data(), count));
  RETURN_IF_ERROR(reader->EndSection());
  for (size_t row = 0; row < count; ++row) {
    if (removed_[row] > 1)
      return reader->Damaged(absl::StrCat("row ", row, ": a tombstone of ", removed_[row]));
    tombstones_ += removed_[row];
    if (!row_of_.try_emplace(vids_[row], row).second) {
      return reader->Damaged(absl::StrCat("row ", row, ": vid ", vids_[row], " appears twice"));
    }
  }
  RETURN_IF_ERROR(reader->BeginSection(SectionId::kRows, row_bytes, count));
  for (size_t row = 0; row < count; ++row) {
    RETURN_IF_ERROR(reader->Read(rows_.Append(), row_bytes));
    if (!CheckVector({rows_[row], options_.dimension}, options_.dimension, Metric::kDot).ok()) {
      return reader->Damaged(absl::StrCat("row ", row, " is not of finite numbers"));
    }
    if (options_.prefix > 0) prefix_scales_.push_back(PrefixScale(rows_[row]));
  }
  return reader->EndSection();
}

absl::StatusOr<std::unique_ptr<VectorIndex>> FlatIndex::Load(SnapshotReader* reader) {
  auto index = std::make_unique<FlatIndex>(reader->header().options);
  absl::WriterMutexLock lock(&index->mutex_);
  RETURN_IF_ERROR(index->ReadRows(reader));
  return index;
}

}  // namespace larder::index
