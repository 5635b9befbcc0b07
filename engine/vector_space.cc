#include "engine/vector_space.h"

#include <algorithm>
#include <atomic>
#include <new>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "engine/keys.h"
#include "engine/records.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

constexpr size_t kRowsPerRound = 4096;
constexpr size_t kRowsPerShare = 16;  // what a thread takes at a time; fewer are not worth another thread
// What a scan of prefixes shall find where the caller does not say.
constexpr double kPrefixRecall = 0.99;
// Tombstones are folded out when they are this share of the live vectors.
constexpr double kFoldShare = 0.15;
constexpr uint64_t kFoldLeast = 1000;

// No exception may leave a thread.
absl::Status AddShare(absl::Span<const uint64_t> vids, absl::Span<const float> rows, index::VectorIndex* index) {
  try {
    return index->Add(vids, rows);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat("no memory to index ", vids.size(), " vectors"));
  }
}

}  // namespace

bool IsApproximate(const index::VectorIndex& index) {
  if (index.options().kind != index::Kind::kFlat) return true;
  return index.options().prefix > 0 && index.Stats().live >= kPrefixScanVectors;
}

VectorSpace::VectorSpace(uint32_t collection, uint16_t number, VectorSpaceOptions options, storage::Store* store,
                         storage::ExtentStore* extents, TreeMemory memory, BuildThreads* threads)
    : collection_(collection), number_(number), options_(std::move(options)), store_(store), extents_(extents),
      memory_(memory), threads_(threads) {}

index::IndexOptions VectorSpace::OptionsFor(index::Kind kind) const {
  index::IndexOptions options;
  options.kind = kind;
  options.dimension = options_.dimension;
  options.metric = metric();
  options.prefix = options_.prefix;
  options.m = options_.hnsw.m;
  options.ef_construction = options_.hnsw.ef_construction;
  options.code = static_cast<index::RowCode>(options_.hnsw.row_code);
  return options;
}

std::string VectorSpace::FileName(index::Kind kind) const {
  return absl::StrCat("space-", number_, kind == index::Kind::kHnsw ? ".hnsw" : ".flat");
}

index::Kind VectorSpace::TargetKind(uint64_t vectors) const {
  if (options_.index == IndexKind::kFlat) return index::Kind::kFlat;
  if (options_.index == IndexKind::kHnsw) return index::Kind::kHnsw;
  if (options_.index == IndexKind::kTree) return vectors < kLeastTreeVectors ? index::Kind::kFlat : index::Kind::kTree;
  if (leaving_memory_ && vectors >= kLeastTreeVectors) return index::Kind::kTree;
  return vectors < kAutoHnswVectors ? index::Kind::kFlat : index::Kind::kHnsw;
}

std::shared_ptr<index::VectorIndex> VectorSpace::index() const {
  absl::ReaderMutexLock lock(&mutex_);
  return index_;
}

VectorSpaceInfo VectorSpace::Info() const {
  const auto index = this->index();
  const index::IndexStats stats = index->Stats();
  VectorSpaceInfo info;
  info.name = options_.name;
  info.dimension = options_.dimension;
  info.metric = options_.metric;
  info.requested = options_.index;
  info.serving = index->options().kind == index::Kind::kHnsw ? IndexKind::kHnsw : IndexKind::kFlat;
  info.vectors = stats.live;
  info.tombstones = stats.tombstones;
  info.resident_bytes = stats.resident_bytes;
  info.code = stats.code == index::RowCode::kSq4x8 ? "sq4x8" : "f32";
  {
    absl::ReaderMutexLock lock(&mutex_);
    info.problem = problem_;
  }
  if (index->options().kind == index::Kind::kTree) {
    FillTreeInfo(static_cast<const TreeSpace&>(*index), &info);
    return info;
  }
  if (!IsApproximate(*index)) {
    info.recall_estimate = 1;
    return info;
  }
  const uint32_t k = SearchRequest().k;
  const index::RecallReport recall = recall_.Report(EfFor(0, 0, k), k);
  info.recall_estimate = recall.recall;
  info.recall_standard_error = recall.standard_error;
  info.recall_checked = recall.checked;
  info.recall_points = recall.table_size;
  info.recall_correction = recall.correction;
  return info;
}

uint32_t VectorSpace::EfFor(uint32_t ef, double target_recall, uint32_t k) const {
  if (target_recall > 0) return recall_.EfFor(target_recall, k);
  if (ef == 0 && options_.prefix > 0 && index()->options().kind == index::Kind::kFlat) {
    return recall_.EfFor(kPrefixRecall, k);
  }
  return std::max(k, ef > 0 ? ef : options_.hnsw.ef_search);
}

bool VectorSpace::TuneRecall(const std::function<bool()>& stop) const {
  const auto index = this->index();
  if (!IsApproximate(*index) || index->options().kind == index::Kind::kTree) return false;  // a tree measures itself
  // A calibration that fails (rows went away meanwhile) is tried again next time.
  const bool calibrated = recall_.WantsCalibration(index->Stats()) && recall_.Calibrate(*index, stop).ok();
  recall_.CheckSome(*index, stop);
  while (!(stop && stop()) && filtered_recall_.CheckOne(*index)) {
  }
  return calibrated;
}

absl::StatusOr<uint64_t> VectorSpace::Load(const std::string& directory, absl::string_view tag, uint64_t covered_vid,
                                           index::VidSet live) {
  absl::MutexLock lock(&mutex_);
  const index::Kind target = TargetKind(live.size());
  ASSIGN_OR_RETURN(const bool tree, LoadTree(std::move(live)));
  if (tree) return UINT64_MAX;  // it has all that the store has
  for (index::Kind kind : {index::Kind::kHnsw, index::Kind::kFlat}) {
    if (directory.empty()) break;
    auto loaded = index::LoadIndex(absl::StrCat(directory, "/", FileName(kind)), OptionsFor(kind));
    if (!loaded.ok() || loaded->tag != tag) continue;  // damaged or of another time: rebuilt below
    index_ = std::move(loaded->index);
    return covered_vid;
  }
  index_ = *index::CreateIndex(OptionsFor(target == index::Kind::kTree ? index::Kind::kFlat : target));
  return 0;
}

absl::Status VectorSpace::AddFromStore(uint64_t from) { return AddStored(from, index().get()); }

absl::Status VectorSpace::AddRows(absl::Span<const uint64_t> vids, absl::Span<const float> rows,
                                  index::VectorIndex* index) const {
  const size_t shares = vids.size() / kRowsPerShare, dimension = options_.dimension;
  if (shares < 2) return AddShare(vids, rows, index);
  std::atomic<size_t> next{0};
  absl::Mutex mutex;
  absl::Status status;
  threads_->Run(shares, [&] {
    for (size_t begin; (begin = next.fetch_add(kRowsPerShare)) < vids.size();) {
      const auto share = vids.subspan(begin, kRowsPerShare);
      const absl::Status added = AddShare(share, rows.subspan(begin * dimension, share.size() * dimension), index);
      if (added.ok()) continue;
      absl::MutexLock lock(&mutex);
      status.Update(added);
      return;
    }
  });
  return status;
}

absl::Status VectorSpace::AddStored(uint64_t from, index::VectorIndex* index) const {
  std::vector<uint64_t> vids;
  std::vector<float> rows;
  const std::string prefix = SpacePrefix(collection_, number_);
  auto it = store_->NewIterator(storage::Table::kVectors, prefix);
  for (it->Seek(VectorKey(collection_, number_, from)); it->Valid(); it->Next()) {
    ASSIGN_OR_RETURN(const absl::string_view bytes, it->value());
    const uint64_t vid = VidOfKey(it->key());
    ASSIGN_OR_RETURN(const std::vector<float> row,
                     DecodeVector(bytes, options_.dimension, absl::StrCat("vector of vid ", vid)));
    vids.push_back(vid);
    rows.insert(rows.end(), row.begin(), row.end());
    if (vids.size() < kRowsPerRound) continue;
    RETURN_IF_ERROR(AddRows(vids, rows, index));
    vids.clear();
    rows.clear();
  }
  RETURN_IF_ERROR(it->status());
  return vids.empty() ? absl::OkStatus() : AddRows(vids, rows, index);
}

absl::Status VectorSpace::Add(absl::Span<const uint64_t> vids, absl::Span<const float> vectors) {
  const auto index = this->index();
  return index->options().kind == index::Kind::kTree ? absl::OkStatus() : AddRows(vids, vectors, index.get());
}

void VectorSpace::Remove(absl::Span<const uint64_t> vids) { index()->Remove(vids); }

absl::Status VectorSpace::Save(const std::string& directory, absl::string_view tag) const {
  const auto index = this->index();
  return index->Save(absl::StrCat(directory, "/", FileName(index->options().kind)), tag);
}

// Growing only: shrinking back is not worth a rebuild.
bool VectorSpace::HasOutgrownFlat() const {
  const auto index = this->index();
  return index->options().kind == index::Kind::kFlat && TargetKind(index->Stats().live) == index::Kind::kHnsw;
}

bool VectorSpace::WantsFolding(bool any) const {
  const auto index = this->index();
  if (index->options().kind == index::Kind::kTree) return false;  // maintenance does
  const index::IndexStats stats = index->Stats();
  if (any) return stats.tombstones > 0;
  return stats.tombstones > kFoldLeast && stats.tombstones > kFoldShare * stats.live;
}

absl::Status VectorSpace::Replace(absl::Mutex* gate, bool wait,
                                  const std::function<bool()>& stop) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if (wait) {
    replacing_.Lock();
  } else if (!replacing_.TryLock()) {
    return absl::OkStatus();
  }
  const absl::Cleanup done = [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { replacing_.Unlock(); };
  return WantsTree() ? ReplaceByTree(gate, stop) : ReplaceInMemory(gate);
}

absl::Status VectorSpace::ReplaceInMemory(absl::Mutex* gate) {
  const auto old = index();
  if (old->options().kind == index::Kind::kTree) return absl::OkStatus();
  if (old->Stats().tombstones == 0 && !HasOutgrownFlat()) return absl::OkStatus();
  index::Kind kind = TargetKind(old->Stats().live);
  if (kind == index::Kind::kTree) kind = old->options().kind;  // grown meanwhile: that is the next call's
  ASSIGN_OR_RETURN(std::shared_ptr<index::VectorIndex> fresh, index::CreateIndex(OptionsFor(kind)));
  // From the store: what the index holds may be rounded.
  RETURN_IF_ERROR(AddStored(0, fresh.get()));
  // Changes went on in the old index meanwhile; with writers held back, catch up and swap.
  absl::MutexLock hold(gate);
  if (index() != old) return absl::OkStatus();  // it left memory
  index::VidSet missing = old->LiveVids();
  missing -= fresh->LiveVids();
  std::vector<float> rows;
  const std::vector<uint64_t> vids = ToVector(missing);
  for (uint64_t vid : vids) {
    ASSIGN_OR_RETURN(const std::vector<float> row, old->Vector(vid));
    rows.insert(rows.end(), row.begin(), row.end());
  }
  if (!vids.empty()) RETURN_IF_ERROR(AddRows(vids, rows, fresh.get()));
  index::VidSet gone = fresh->LiveVids();
  gone -= old->LiveVids();
  fresh->Remove(ToVector(gone));
  Serve(std::move(fresh));
  return absl::OkStatus();
}

void VectorSpace::Serve(std::shared_ptr<index::VectorIndex> fresh) {
  {
    absl::MutexLock lock(&mutex_);
    index_ = std::move(fresh);
  }
  recall_.Replaced();
  filtered_recall_.Forget();
}

}  // namespace larder
