// The indexes of a collection as caches: loaded from a snapshot, replayed, saved, held against the
// store.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/collection_impl.h"
#include "engine/keys.h"
#include "storage/posix_file.h"
#include "storage/status_macros.h"

namespace larder {

namespace fs = std::filesystem;
using storage::Table;

namespace {

constexpr char kDirectoryFile[] = "directory";
// Metadata bitmaps that a collection keeps in memory, at most.
constexpr uint64_t kPostingBytes = 128 << 20;
constexpr uint64_t kMaxRecallBytes = 1 << 20;

std::string SnapshotTag(uint64_t commit, uint64_t next_vid) {
  storage::RecordWriter out(1);
  out.U64(commit);
  out.U64(next_vid);
  return std::move(out).Finish();
}

// Numbers of the finished snapshots in `root`, newest first; half-written ones are removed.
std::vector<uint64_t> Generations(const std::string& root) {
  std::vector<uint64_t> numbers;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(root, error)) {
    uint64_t number = 0;
    if (absl::SimpleAtoi(entry.path().filename().string(), &number)) {
      numbers.push_back(number);
    } else {
      fs::remove_all(entry.path(), error);
    }
  }
  std::sort(numbers.rbegin(), numbers.rend());
  return numbers;
}

std::string GenerationPath(const std::string& root, uint64_t number) {
  return absl::StrCat(root, "/", absl::StrFormat("%06d", number));
}

}  // namespace

CollectionImpl::CollectionImpl(CollectionRecord record, DatabaseServices* services)
    : record_(std::move(record)), services_(services), vids_(record_.id, services->store.get()),
      postings_(*services->store, kPostingBytes) {
  for (size_t i = 0; i < record_.options.spaces.size(); ++i) {
    spaces_.push_back(std::make_unique<VectorSpace>(record_.id, static_cast<uint16_t>(i), record_.options.spaces[i],
                                                    services->store.get(), services->extents.get(),
                                                    services->tree_memory, services->build_threads.get()));
  }
}

std::string CollectionImpl::SnapshotRoot() const {
  return absl::StrCat(services_->path, "/index/", record_.id);
}

absl::StatusOr<std::shared_ptr<CollectionImpl>> CollectionImpl::Open(CollectionRecord record,
                                                                     DatabaseServices* services) {
  std::shared_ptr<CollectionImpl> impl(new CollectionImpl(std::move(record), services));
  RETURN_IF_ERROR(impl->Load());
  return impl;
}

absl::Status CollectionImpl::Load() {
  RETURN_IF_ERROR(vids_.Load());
  std::string directory, tag;
  uint64_t covered = 0;
  {
    absl::MutexLock lock(&snapshot_mutex_);
    const std::vector<uint64_t> generations = Generations(SnapshotRoot());
    if (!generations.empty()) {
      generation_ = generations.front();
      directory = GenerationPath(SnapshotRoot(), generation_);
    }
  }
  if (!directory.empty()) {
    const auto bytes = storage::ReadWholeFile(absl::StrCat(directory, "/", kDirectoryFile), UINT64_MAX);
    if (bytes.ok() && directory_.Deserialize(*bytes, &tag).ok()) {
      storage::RecordReader in(tag, 1, "snapshot tag");
      in.U64();
      covered = in.U64();
      if (!in.status().ok()) covered = 0;
    }
  }
  if (covered == 0) directory.clear();  // without the directory the rest of a snapshot is of no use
  if (directory.empty()) directory_.Clear();
  RETURN_IF_ERROR(ReplayDirectory(covered));
  ASSIGN_OR_RETURN(const std::vector<uint64_t> tombstones, Tombstones());
  index::VidSet live = *directory_.live();
  for (const uint64_t vid : tombstones) live.Remove(vid);
  for (const auto& space : spaces_) {
    ASSIGN_OR_RETURN(const uint64_t from, space->Load(directory, tag, covered, live));
    RETURN_IF_ERROR(space->AddFromStore(from));
    const auto recall = storage::ReadWholeFile(RecallPath(*space), kMaxRecallBytes);
    if (recall.ok()) space->recall().Restore(*recall).IgnoreError();  // else it is measured again
  }
  ApplyRemoval(tombstones);
  changes_ += tombstones.size();
  auto expiry = services_->store->NewIterator(Table::kExpiry, CollectionPrefix(record_.id));
  if (expiry->Valid()) {
    NoteExpiry(static_cast<int64_t>(storage::ReadKey64(expiry->key().data() + 4) ^ (uint64_t{1} << 63)));
  }
  return expiry->status();
}

// Chunks of one document have consecutive vids and ascending ordinals.
absl::Status CollectionImpl::ReplayDirectory(uint64_t from) {
  std::string tenant, id;
  std::vector<uint64_t> vids;
  const auto flush = [&] {
    if (!vids.empty()) directory_.AddDocument(tenant, id, vids);
    vids.clear();
  };
  auto it = services_->store->NewIterator(Table::kChunks, CollectionPrefix(record_.id));
  for (it->Seek(ChunkKey(record_.id, from)); it->Valid(); it->Next()) {
    const uint64_t vid = VidOfKey(it->key());
    ASSIGN_OR_RETURN(const absl::string_view bytes, it->value());
    ASSIGN_OR_RETURN(const ChunkRecord chunk, DecodeChunk(bytes, absl::StrCat("chunk of vid ", vid)));
    if (chunk.ordinal == 0 || chunk.document_id != id || chunk.tenant != tenant) {
      flush();
      tenant = chunk.tenant;
      id = chunk.document_id;
    }
    vids.push_back(vid);
  }
  flush();
  return it->status();
}

absl::StatusOr<std::vector<uint64_t>> CollectionImpl::Tombstones() const {
  std::vector<uint64_t> vids;
  auto it = services_->store->NewIterator(Table::kTombstones, CollectionPrefix(record_.id));
  for (; it->Valid(); it->Next()) vids.push_back(VidOfKey(it->key()));
  RETURN_IF_ERROR(it->status());
  return vids;
}

absl::Status CollectionImpl::TakeSnapshot() {
  absl::MutexLock one(&snapshot_mutex_);
  if (changes_.load(std::memory_order_relaxed) == 0) return absl::OkStatus();
  const std::string root = SnapshotRoot();
  const std::string final_path = GenerationPath(root, generation_ + 1);
  const std::string path = final_path + ".tmp";
  std::error_code error;
  fs::remove_all(path, error);
  fs::create_directories(path, error);
  if (error) return absl::UnavailableError(absl::StrCat(path, ": ", error.message()));
  storage::WriteBatch purge;
  uint64_t covered_changes = 0;
  {
    absl::MutexLock hold(&gate_);  // no change is between its commit and the indexes
    covered_changes = changes_.load(std::memory_order_relaxed);
    const std::string tag = SnapshotTag(services_->store->state().commit, vids_.next());
    auto it = services_->store->NewIterator(Table::kTombstones, CollectionPrefix(record_.id));
    for (; it->Valid(); it->Next()) purge.Delete(Table::kTombstones, it->key());
    RETURN_IF_ERROR(it->status());
    RETURN_IF_ERROR(storage::WriteFileAtomically(
        storage::FileSystem::Posix(), absl::StrCat(path, "/", kDirectoryFile), directory_.Serialize(tag)));
    for (const auto& space : spaces_) RETURN_IF_ERROR(space->Save(path, tag));
  }
  fs::rename(path, final_path, error);
  if (error) return absl::UnavailableError(absl::StrCat(final_path, ": ", error.message()));
  RETURN_IF_ERROR(storage::FileSystem::Posix().SyncDirectory(root));
  ++generation_;
  changes_.fetch_sub(covered_changes, std::memory_order_relaxed);
  // Only now may the tombstones go that the snapshot covers.
  if (!purge.empty()) RETURN_IF_ERROR(services_->store->Write(std::move(purge)).status());
  for (uint64_t number : Generations(root)) {
    if (number != generation_) fs::remove_all(GenerationPath(root, number), error);
  }
  return vids_.Settle();
}

void CollectionImpl::RemoveSnapshots() const {
  std::error_code error;
  fs::remove_all(SnapshotRoot(), error);
  for (const auto& space : spaces_) fs::remove(RecallPath(*space), error);
}

absl::Status CollectionImpl::Fold(bool all) {
  for (const auto& space : spaces_) {
    const bool tree = space->WantsTree();
    if (tree ? !all : !space->WantsFolding(all) && !space->HasOutgrownFlat()) continue;  // trees have a thread
    RETURN_IF_ERROR(space->Replace(&gate_, /*wait=*/all, [] { return false; }));
    changes_.fetch_add(1, std::memory_order_relaxed);
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> CollectionImpl::MaintainTrees(const std::function<bool()>& stop) {
  bool did = false;
  for (const auto& space : spaces_) {
    if (space->WantsTree()) {
      RETURN_IF_ERROR(space->Replace(&gate_, /*wait=*/false, stop));
      changes_.fetch_add(1, std::memory_order_relaxed);
      did = true;
    } else {
      ASSIGN_OR_RETURN(const bool step, space->Maintain());
      did = did || step;
    }
  }
  return did;
}

absl::StatusOr<bool> CollectionImpl::RelocateTree(uint16_t space, const storage::ExtentOwner& owner,
                                                  const storage::ExtentPointer& from, const storage::ExtentPointer& to,
                                                  storage::WriteBatch* batch) {
  return space < spaces_.size() ? spaces_[space]->Relocate(owner, from, to, batch) : false;
}

std::string CollectionImpl::RecallPath(const VectorSpace& space) const {
  return absl::StrCat(SnapshotRoot(), "-", space.number(), ".recall");
}

void CollectionImpl::TuneRecall(const std::function<bool()>& stop) {
  for (const auto& space : spaces_) {
    if (!space->TuneRecall(stop)) continue;
    absl::ReaderMutexLock lock(&life);
    if (!closed.ok()) return;
    // Without the file the next process measures again.
    std::error_code error;
    fs::create_directories(services_->path + "/index", error);
    storage::WriteFileAtomically(storage::FileSystem::Posix(), RecallPath(*space), space->recall().Serialize())
        .IgnoreError();
  }
}

namespace {

// An index holds unit vectors under cosine.
float ExpectedScale(const std::vector<float>& row, index::Metric metric) {
  if (metric != index::Metric::kCosine) return 1;
  double sum = 0;
  for (float x : row) sum += static_cast<double>(x) * x;
  return static_cast<float>(1 / std::sqrt(sum));
}

// Whether |scale * row - held| <= error * |scale * row|.
bool SameVector(const std::vector<float>& row, const std::vector<float>& held, float scale, double error) {
  if (row.size() != held.size()) return false;
  double squares = 0, differences = 0;
  for (size_t i = 0; i < row.size(); ++i) {
    const double value = static_cast<double>(row[i]) * scale, difference = value - held[i];
    squares += value * value;
    differences += difference * difference;
  }
  return differences <= error * error * squares;
}

}  // namespace

absl::Status CollectionImpl::VerifyIndexes(uint64_t* entries, std::vector<std::string>* problems) const {
  absl::MutexLock hold(&gate_);
  const std::shared_ptr<const index::VidSet> shared_live = directory_.live();
  const index::VidSet& live = *shared_live;
  for (const auto& space : spaces_) {
    const auto index = space->index();
    const std::string name = absl::StrCat("collection \"", record_.name, "\", space \"", space->options().name, "\"");
    const std::string where = absl::StrCat(name, ", vid ");
    const double row_error = index->Stats().row_error;
    index::VidSet unseen = index->LiveVids();
    auto it = services_->store->NewIterator(Table::kVectors, SpacePrefix(record_.id, space->number()));
    for (; it->Valid(); it->Next()) {
      const uint64_t vid = VidOfKey(it->key());
      const auto bytes = it->value();
      if (!bytes.ok()) continue;  // the store's own verify names it
      const auto row = DecodeVector(*bytes, space->options().dimension, where);
      const auto held = index->Vector(vid);
      ++*entries;
      unseen.Remove(vid);
      if (!live.Contains(vid)) problems->push_back(absl::StrCat(where, vid, ": a vector without a live chunk"));
      if (!row.ok()) {
        problems->push_back(std::string(row.status().message()));
      } else if (!held.ok()) {
        problems->push_back(absl::StrCat(where, vid, ": in the store, not in the index"));
      } else if (!SameVector(*row, *held, ExpectedScale(*row, space->metric()), row_error)) {
        problems->push_back(absl::StrCat(where, vid, ": the index holds another vector than the store"));
      }
    }
    RETURN_IF_ERROR(it->status());
    unseen.ForEach([&](uint64_t vid) {
      problems->push_back(absl::StrCat(where, vid, ": in the index, not in the store"));
      return true;
    });
    RETURN_IF_ERROR(space->VerifyTree(name, problems));
  }
  return absl::OkStatus();
}

CollectionInfo CollectionImpl::Info() const {
  CollectionInfo info;
  info.name = record_.name;
  info.documents = directory_.documents();
  info.chunks = directory_.chunks();
  info.embedder = record_.embedder_fingerprint.empty() ? "none" : record_.embedder_fingerprint;
  for (const auto& space : spaces_) info.spaces.push_back(space->Info());
  return info;
}

}  // namespace larder
