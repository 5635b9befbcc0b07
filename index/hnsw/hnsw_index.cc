#include "index/hnsw/hnsw_index.h"

#include <algorithm>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "index/hnsw/walk.h"
#include "index/vector_math.h"
#include "storage/status_macros.h"

namespace larder::index {

HnswIndex::HnswIndex(const IndexOptions& options)
    : options_(options), graph_(options), rows_(options), builder_(options, &graph_, &rows_),
      scratches_(2 * options.m) {}

absl::Status HnswIndex::MakeRoom(size_t elements, size_t upper_lists) {
  absl::WriterMutexLock lock(&room_mutex_);
  const auto grown = [](size_t needed, size_t capacity) {
    return needed <= capacity ? capacity : std::max({needed, capacity + capacity / 2, size_t{64}});
  };
  const size_t half_more = std::min<size_t>(grown(elements, graph_.capacity()), HnswGraph::kMaxCount);
  const size_t capacity = std::max(half_more, elements);
  if (!states_.Grow(capacity)) {
    return absl::ResourceExhaustedError(absl::StrCat("hnsw: no memory for ", capacity, " elements"));
  }
  RETURN_IF_ERROR(rows_.Grow(capacity));
  return graph_.Grow(capacity, grown(upper_lists, graph_.upper_capacity()));
}

absl::Status HnswIndex::EncodeBefore(uint32_t id) {
  if (id < kFirstCoded) return absl::OkStatus();
  {
    absl::ReaderMutexLock room(&room_mutex_);
    if (!rows_.WantsCode()) return absl::OkStatus();
  }
  absl::WriterMutexLock room(&room_mutex_);
  try {
    return rows_.WantsCode() ? rows_.Encode(count_.load()) : absl::OkStatus();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("hnsw: no memory to code the rows");
  }
}

absl::StatusOr<HnswIndex::Claim> HnswIndex::ClaimIds(absl::Span<const Vid> vids, uint32_t upper_lists) {
  for (;;) {
    size_t elements = 0, uppers = 0;
    {
      absl::ReaderMutexLock room(&room_mutex_);
      absl::WriterMutexLock lock(&ids_mutex_);
      const Claim claim{count_.load(std::memory_order_relaxed), upper_count_};
      elements = claim.id + vids.size();
      uppers = claim.upper + uint64_t{upper_lists};
      if (elements <= graph_.capacity() && uppers <= graph_.upper_capacity()) {
        RETURN_IF_ERROR(NameIds(vids, claim.id));
        upper_count_ = static_cast<uint32_t>(uppers);
        count_.store(static_cast<uint32_t>(elements), std::memory_order_release);
        return claim;
      }
    }
    RETURN_IF_ERROR(MakeRoom(elements, uppers));
  }
}

absl::Status HnswIndex::NameIds(absl::Span<const Vid> vids, uint32_t first) {
  absl::Status status;
  size_t named = 0;
  try {
    while (named < vids.size() && id_of_.Insert(vids[named], first + named)) ++named;
  } catch (const std::bad_alloc&) {
    status = absl::ResourceExhaustedError(absl::StrCat("hnsw: no memory for ", vids.size(), " more vids"));
  }
  if (named == vids.size()) return absl::OkStatus();
  if (status.ok()) status = absl::AlreadyExistsError(absl::StrCat("add: vid ", vids[named], " was added before"));
  for (size_t i = 0; i < named; ++i) id_of_.Erase(vids[i]);
  return status;
}

absl::Status HnswIndex::Add(absl::Span<const Vid> vids, absl::Span<const float> vectors) {
  RETURN_IF_ERROR(CheckAdd(vids, vectors, options_.dimension));
  absl::ReaderMutexLock writer(&writer_mutex_);
  uint32_t upper_lists = 0;
  for (Vid vid : vids) upper_lists += builder_.LevelOf(vid);
  std::vector<float> row(options_.dimension);  // before the claim: what is claimed must be placed
  ASSIGN_OR_RETURN(Claim claim, ClaimIds(vids, upper_lists));
  absl::Status status;
  for (size_t i = 0; i < vids.size(); ++i) {
    if (status.ok()) status = EncodeBefore(claim.id);
    // A lock a row: who wants to grow the memory waits for one insertion only.
    absl::ReaderMutexLock room(&room_mutex_);
    const int level = builder_.LevelOf(vids[i]);
    Canonicalize(vectors.subspan(i * options_.dimension, options_.dimension), options_.metric, row.data());
    graph_.Place(claim.id, vids[i], level, claim.upper);
    if (status.ok()) status = Link(claim.id, row.data());
    if (!status.ok()) MarkRemoved(claim.id);
    ++claim.id;
    claim.upper += level;
  }
  return status;
}

absl::Status HnswIndex::Link(uint32_t id, const float* vector) {
  try {
    rows_.Put(id, vector);
    const ScratchPool::Lease scratch = scratches_.Take();
    builder_.Insert(id, vector, scratch.get());
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("hnsw: no memory to link an element");
  }
  // A Remove may have come first.
  if (State(id).fetch_or(kReady, std::memory_order_acq_rel) == 0) live_.fetch_add(1);
  return absl::OkStatus();
}

void HnswIndex::Remove(absl::Span<const Vid> vids) {
  absl::ReaderMutexLock writer(&writer_mutex_);
  absl::ReaderMutexLock room(&room_mutex_);
  absl::ReaderMutexLock lock(&ids_mutex_);
  for (Vid vid : vids) {
    if (const uint32_t id = id_of_.Find(vid); id != kNone) MarkRemoved(id);
  }
}

void HnswIndex::MarkRemoved(uint32_t id) {
  const uint8_t before = State(id).fetch_or(kRemoved, std::memory_order_acq_rel);
  if (before & kRemoved) return;
  tombstones_.fetch_add(1);
  if (before == kReady) live_.fetch_sub(1);
}

uint32_t HnswIndex::Find(Vid vid) const {
  const uint32_t id = id_of_.Find(vid);
  return id != kNone && IsLive(id) ? id : kNone;
}

absl::StatusOr<std::vector<float>> HnswIndex::Vector(Vid vid) const {
  absl::ReaderMutexLock room(&room_mutex_);
  absl::ReaderMutexLock lock(&ids_mutex_);
  const uint32_t id = Find(vid);
  if (id == kNone) return absl::NotFoundError(absl::StrCat("vid ", vid, " is not in the index"));
  std::vector<float> vector(options_.dimension);
  rows_.Decode(id, vector.data());
  return vector;
}

bool HnswIndex::Contains(Vid vid) const {
  absl::ReaderMutexLock room(&room_mutex_);
  absl::ReaderMutexLock lock(&ids_mutex_);
  return Find(vid) != kNone;
}

VidSet HnswIndex::LiveVids() const {
  absl::ReaderMutexLock room(&room_mutex_);
  VidSet live;
  const uint32_t count = count_.load(std::memory_order_acquire);
  for (uint32_t id = 0; id < count; ++id) {
    if (IsLive(id)) live.Add(graph_.VidOf(id));
  }
  return live;
}

IndexStats HnswIndex::Stats() const {
  absl::ReaderMutexLock room(&room_mutex_);
  absl::ReaderMutexLock lock(&ids_mutex_);
  const uint64_t count = count_.load();
  return {.live = live_.load(),
          .tombstones = tombstones_.load(),
          .resident_bytes = sizeof(*this) + count * (graph_.stride() + sizeof(ElementTail) + rows_.bytes_per_row() + 1) +
                            upper_count_ * graph_.upper_stride() + id_of_.bytes() +
                            scratches_.bytes(),
          .code = rows_.ranked_by(),
          .row_error = rows_.ranked_by() == RowCode::kSq4x8 ? kCodedRowError : 1e-6f};
}

}  // namespace larder::index
