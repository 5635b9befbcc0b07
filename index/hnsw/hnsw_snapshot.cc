// HnswIndex's snapshots: elements, rows and upper lists as they are in memory (graph.h, vector_rows.h),
// in order of id.
#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "index/hnsw/hnsw_index.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

constexpr size_t kPiece = 1 << 20;

uint32_t ElementsInPiece(size_t stride) {
  return static_cast<uint32_t>(std::max<size_t>(1, kPiece / stride));
}

}  // namespace

absl::Status HnswIndex::Save(const std::string& path, absl::string_view tag) const {
  ASSIGN_OR_RETURN(SnapshotWriter writer, SnapshotWriter::Create(path));
  absl::MutexLock hold_writers(&writer_mutex_);
  absl::ReaderMutexLock room(&room_mutex_);
  absl::ReaderMutexLock lock(&ids_mutex_);
  const uint32_t count = count_.load();
  writer.BeginSection(SectionId::kTag);
  writer.Append(tag);
  writer.BeginSection(SectionId::kTombstones);
  for (uint32_t id = 0; id < count; ++id) {
    const char removed = !IsLive(id);
    writer.Append(&removed, 1);
  }
  writer.BeginSection(SectionId::kElements);
  WriteElements(&writer, count);
  writer.BeginSection(SectionId::kTails);
  writer.Append(&graph_.Tail(0), count * sizeof(ElementTail));
  writer.BeginSection(SectionId::kCode);
  writer.Append(rows_.Serialize());
  writer.BeginSection(SectionId::kWalkRows);
  writer.Append(rows_.walk_block().data(), count * rows_.walk_bytes());
  writer.BeginSection(SectionId::kResiduals);
  writer.Append(rows_.residual_block().data(), count * rows_.residual_bytes());
  writer.BeginSection(SectionId::kUpperLinks);
  writer.Append(graph_.UpperList(0), upper_count_ * graph_.upper_stride());
  const HnswGraph::Entry entry = graph_.entry();
  return writer.Finish({.options = options_,
                        .count = count,
                        .entry = entry.id,
                        .max_level = static_cast<uint64_t>(std::max(0, entry.level))});
}

// Through a copy in which the sequence counters are zero: equal indexes give equal bytes.
void HnswIndex::WriteElements(SnapshotWriter* writer, uint32_t count) const {
  const size_t stride = graph_.stride();
  const uint32_t step = ElementsInPiece(stride);
  std::string piece(step * stride, '\0');
  for (uint32_t first = 0; first < count; first += step) {
    const uint32_t elements = std::min(step, count - first);
    std::memcpy(piece.data(), graph_.Element(first), elements * stride);
    for (uint32_t i = 0; i < elements; ++i) std::memset(piece.data() + i * stride, 0, sizeof(uint32_t));
    writer->Append(piece.data(), elements * stride);
  }
}

absl::StatusOr<std::unique_ptr<VectorIndex>> HnswIndex::Load(SnapshotReader* reader) {
  const SnapshotHeader& header = reader->header();
  if (header.count > HnswGraph::kMaxCount) {
    return reader->Damaged(
        absl::StrCat("expected at most ", HnswGraph::kMaxCount, " elements, found ", header.count));
  }
  auto index = std::make_unique<HnswIndex>(header.options);
  const uint32_t count = static_cast<uint32_t>(header.count);
  ASSIGN_OR_RETURN(const uint64_t upper_bytes, reader->SectionLength(SectionId::kUpperLinks));
  const uint64_t upper_lists = upper_bytes / index->graph_.upper_stride();
  RETURN_IF_ERROR(index->ReadCode(reader));
  // The lengths are those of the file: nothing larger than it is allocated.
  RETURN_IF_ERROR(reader->BeginSection(SectionId::kUpperLinks, index->graph_.upper_stride(), upper_lists));
  RETURN_IF_ERROR(reader->BeginSection(SectionId::kElements, index->graph_.stride(), count));
  RETURN_IF_ERROR(reader->BeginSection(SectionId::kTails, sizeof(ElementTail), count));
  RETURN_IF_ERROR(reader->BeginSection(SectionId::kWalkRows, index->rows_.walk_bytes(), count));
  RETURN_IF_ERROR(reader->BeginSection(SectionId::kResiduals, index->rows_.residual_bytes(), count));
  RETURN_IF_ERROR(index->MakeRoom(count, upper_lists));
  absl::ReaderMutexLock room(&index->room_mutex_);
  absl::WriterMutexLock lock(&index->ids_mutex_);
  RETURN_IF_ERROR(index->ReadArrays(reader, count, upper_lists));
  if (const absl::Status sound = index->rows_.CheckRows(count); !sound.ok()) return reader->Damaged(sound.message());
  RETURN_IF_ERROR(index->NameAll(reader, count));
  RETURN_IF_ERROR(index->ReadStates(reader, count));
  index->upper_count_ = static_cast<uint32_t>(upper_lists);
  index->count_.store(count);
  RETURN_IF_ERROR(index->CheckGraph(*reader));
  if (count > 0) {
    index->graph_.SetEntry({static_cast<uint32_t>(header.entry), static_cast<int>(header.max_level)});
  }
  return index;
}

absl::Status HnswIndex::ReadCode(SnapshotReader* reader) {
  ASSIGN_OR_RETURN(const uint64_t length, reader->SectionLength(SectionId::kCode));
  RETURN_IF_ERROR(reader->BeginSection(SectionId::kCode, 1, length));
  std::string bytes(length, '\0');
  RETURN_IF_ERROR(reader->Read(bytes.data(), length));
  RETURN_IF_ERROR(reader->EndSection());
  const absl::Status parsed = rows_.Parse(bytes);
  return parsed.ok() ? parsed : reader->Damaged(parsed.message());
}

absl::Status HnswIndex::ReadArrays(SnapshotReader* reader, uint64_t count, uint64_t upper_lists) {
  const struct {
    SectionId id;
    char* memory;
    uint64_t unit, number;
  } arrays[] = {
      {SectionId::kElements, graph_.Element(0), graph_.stride(), count},
      {SectionId::kTails, reinterpret_cast<char*>(&graph_.Tail(0)), sizeof(ElementTail), count},
      {SectionId::kWalkRows, rows_.walk_block().data(), rows_.walk_bytes(), count},
      {SectionId::kResiduals, rows_.residual_block().data(), rows_.residual_bytes(), count},
      {SectionId::kUpperLinks, graph_.UpperList(0), graph_.upper_stride(), upper_lists},
  };
  for (const auto& array : arrays) {
    RETURN_IF_ERROR(reader->BeginSection(array.id, array.unit, array.number));
    RETURN_IF_ERROR(reader->Read(array.memory, array.unit * array.number));
    RETURN_IF_ERROR(reader->EndSection());
  }
  return absl::OkStatus();
}

absl::Status HnswIndex::NameAll(SnapshotReader* reader, uint32_t count) {
  try {
    for (uint32_t id = 0; id < count; ++id) {
      if (id_of_.Insert(graph_.VidOf(id), id)) continue;
      return reader->Damaged(absl::StrCat("element ", id, ": vid ", graph_.VidOf(id), " appears twice"));
    }
    graph_.FindDuplicates(count);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat("hnsw: no memory for ", count, " vids"));
  }
  return absl::OkStatus();
}

absl::Status HnswIndex::ReadStates(SnapshotReader* reader, uint32_t count) {
  RETURN_IF_ERROR(reader->BeginSection(SectionId::kTombstones, 1, count));
  RETURN_IF_ERROR(reader->Read(states_.data(), count));
  RETURN_IF_ERROR(reader->EndSection());
  uint64_t removed = 0;
  for (uint32_t id = 0; id < count; ++id) {
    const uint8_t mark = State(id).load(std::memory_order_relaxed);
    if (mark > 1) return reader->Damaged(absl::StrCat("element ", id, ": a tombstone of ", mark));
    removed += mark;
    State(id).store(mark == 1 ? kReady | kRemoved : kReady, std::memory_order_relaxed);
  }
  tombstones_.store(removed);
  live_.store(count - removed);
  return absl::OkStatus();
}

namespace {

// A cursor over everything a walk will trust.
class GraphCheck {
 public:
  GraphCheck(const HnswGraph& graph, uint32_t count, uint32_t upper_lists)
      : graph_(graph), count_(count), upper_lists_(upper_lists), duplicate_(count, false) {}

  // Headers: levels, places of the upper lists (in order of id, without gaps), duplicates (each of
  // one chain only, so that no chain is a ring).
  std::string Headers() {
    uint64_t upper = 0;
    for (uint32_t id = 0; id < count_; ++id) {
      const ElementHeader& header = graph_.Header(id);
      const uint32_t next = graph_.NextDuplicate(id);
      if (header.sequence != 0 || header.lock != 0) return At(id, "a lock is set");
      if (header.level > HnswGraph::kMaxLevel) return At(id, "its level is too high");
      if (graph_.Tail(id).upper != upper) return At(id, "its upper lists are misplaced");
      upper += header.level;
      if (next == ~0u) continue;
      if (next >= count_ || next == id || duplicate_[next]) return At(id, "a bad duplicate");
      duplicate_[next] = true;
    }
    return upper == upper_lists_ ? ""
                                 : absl::StrCat("expected ", upper, " upper lists, found ", upper_lists_);
  }

  // Links: numbers, ids, levels of their targets; a duplicate has none and is nobody's.
  std::string Links() const {
    std::vector<uint32_t> links(graph_.max_links(0));
    for (uint32_t id = 0; id < count_; ++id) {
      for (int level = 0; level <= graph_.Level(id); ++level) {
        if (graph_.CountLinks(id, level) > graph_.max_links(level)) return At(id, "too many links");
        const uint32_t number = graph_.CopyLinks(id, level, links.data());
        if (number > 0 && duplicate_[id]) return At(id, "a duplicate with links");
        for (uint32_t i = 0; i < number; ++i) {
          if (!IsTarget(links[i], level)) return At(id, absl::StrCat("a bad link ", links[i]));
        }
      }
    }
    return "";
  }
  // Whether walks on `level` may come to `id`.
  bool IsTarget(uint64_t id, int level) const {
    return id < count_ && !duplicate_[id] && graph_.Level(static_cast<uint32_t>(id)) >= level;
  }

 private:
  static std::string At(uint32_t id, absl::string_view what) {
    return absl::StrCat("element ", id, ": ", what);
  }
  const HnswGraph& graph_;
  const uint32_t count_, upper_lists_;
  std::vector<bool> duplicate_;
};

}  // namespace

absl::Status HnswIndex::CheckGraph(const SnapshotReader& reader) const {
  const SnapshotHeader& header = reader.header();
  GraphCheck check(graph_, static_cast<uint32_t>(header.count), upper_count_);
  std::string problem = check.Headers();
  if (problem.empty()) problem = check.Links();
  if (!problem.empty()) return reader.Damaged(problem);
  if (header.count == 0 && header.entry == 0 && header.max_level == 0) return absl::OkStatus();
  if (header.max_level <= HnswGraph::kMaxLevel &&
      check.IsTarget(header.entry, static_cast<int>(header.max_level)) &&
      graph_.Level(static_cast<uint32_t>(header.entry)) == static_cast<int>(header.max_level)) {
    return absl::OkStatus();
  }
  return reader.Damaged(
      absl::StrCat("entry point ", header.entry, " of level ", header.max_level, " is not one"));
}

}  // namespace larder::index
