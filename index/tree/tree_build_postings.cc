// The phases of a build that make postings: bits, assign, write, finish.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "index/codes/code.h"
#include "index/tree/bit_choice.h"
#include "index/tree/parallel.h"
#include "index/tree/posting.h"
#include "index/tree/tree_builder.h"
#include "storage/coding.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

using storage::Table;
using storage::WriteBatch;

constexpr size_t kNearLeaves = 32;    // among which the second home is
constexpr size_t kBitSampleGroups = 16;  // to a sample: about a cell
constexpr size_t kBitSamples = 4;

}  // namespace

PostingCode TreeBuilder::MakeCode() const {
  return PostingCode({.dimension = dimension(), .metric = options_.tree.metric, .bits = header_.options.bits,
                      .seed = options_.tree.seed});
}

// Groups that follow each other are of one cell: together they are as dense as the data is.
absl::Status TreeBuilder::ChooseBits() {
  BitChoice choice(dimension(), options_.tree.metric, header_.options.leaf_entries, options_.tree.seed);
  const size_t samples = std::min(kBitSamples, (groups_.size() + kBitSampleGroups - 1) / kBitSampleGroups);
  for (size_t sample = 0; sample < samples; ++sample) {
    const size_t first = sample * groups_.size() / samples;
    std::vector<float> all, rows;
    std::vector<Vid> vids;
    for (size_t group = first; group < std::min(first + kBitSampleGroups, groups_.size()); ++group) {
      RETURN_IF_ERROR(ReadGroup(static_cast<uint32_t>(group), &vids, &rows));
      all.insert(all.end(), rows.begin(), rows.end());
    }
    if (!all.empty()) choice.AddSample(std::move(all));
  }
  ASSIGN_OR_RETURN(header_.options.bits, choice.Choose(options_.threads));
  return absl::OkStatus();
}

absl::Status TreeBuilder::Assign() {
  if (header_.options.bits == 0) RETURN_IF_ERROR(ChooseBits());
  const PostingCode code = MakeCode();
  ASSIGN_OR_RETURN(const std::unique_ptr<LeafTable> leaves, LoadLeaves());
  std::vector<float> rotated(anchors_.size());
  for (uint32_t cell = 0; cell < cells(); ++cell) code.Rotate(leaves->anchor(cell), &rotated[size_t{cell} * dimension()]);
  CellSpill spill(store_, extents_, keys_, cells(), EntryBytes(code), options_.memory_bytes / 4);
  RETURN_IF_ERROR(spill.Recover());
  uint64_t rows_done = 0;
  for (uint64_t group = 0; group < consumed_; ++group) rows_done += groups_[group].count;
  while (consumed_ < groups_.size()) {
    const uint64_t first = consumed_;
    uint64_t end = first, rows = 0;
    while (end < groups_.size() && (end == first || rows + groups_[end].count <= options_.checkpoint_rows)) {
      rows += groups_[end++].count;
    }
    RETURN_IF_ERROR(ParallelFor(end - first, options_.threads, [&](size_t i) {
      return AssignGroup(static_cast<uint32_t>(first + i), *leaves, code, rotated, &spill);
    }));
    WriteBatch batch;
    RETURN_IF_ERROR(spill.Checkpoint(&batch));
    RETURN_IF_ERROR(Advance(Phase::kAssign, end, std::move(batch)));
    RETURN_IF_ERROR(Report("assign", rows_done += rows, source_.rows()));
  }
  return Advance(Phase::kWrite, 0, WriteBatch());
}

absl::Status TreeBuilder::AssignGroup(uint32_t group, const LeafTable& leaves, const PostingCode& code,
                                      const std::vector<float>& rotated_anchors, CellSpill* spill) {
  const size_t n = dimension();
  std::vector<Vid> vids;
  std::vector<float> rows, rotated(n);
  std::vector<uint8_t> entry(EntryBytes(code));
  std::vector<LeafTable::Near> near;
  RETURN_IF_ERROR(ReadGroup(group, &vids, &rows));
  for (size_t i = 0; i < vids.size(); ++i) {
    const float* row = &rows[i * n];
    leaves.Nearest(row, kNearLeaves, &near);
    code.Rotate(row, rotated.data());
    const uint32_t homes[2] = {near[0].leaf, options_.tree.copies == 2 ? leaves.SecondHome(row, near) : near[0].leaf};
    uint32_t coded_for = ~0u;
    for (const uint32_t home : {homes[0], homes[1]}) {
      const uint32_t cell = leaves.cell(home), node = leaves.node(home);
      if (cell != coded_for) {
        code.Encode(rotated.data(), &rotated_anchors[cell * n],
                    {.vid = vids[i], .group = group, .slot = static_cast<uint16_t>(i)}, entry.data() + sizeof(node));
        coded_for = cell;
      }
      std::memcpy(entry.data(), &node, sizeof(node));
      RETURN_IF_ERROR(spill->Add(cell, entry.data()));
      if (homes[1] == homes[0]) break;
    }
  }
  return absl::OkStatus();
}

absl::Status TreeBuilder::WritePostings() {
  const PostingCode code = MakeCode();
  CellSpill spill(store_, extents_, keys_, cells(), EntryBytes(code), 0);
  RETURN_IF_ERROR(spill.Recover());
  for (uint32_t first = 0; first < cells(); first += kWave) {
    const uint32_t count = std::min(kWave, cells() - first);
    std::vector<std::vector<WrittenPosting>> written(count);
    RETURN_IF_ERROR(ParallelFor(count, options_.threads, [&](size_t i) -> absl::Status {
      if (spill.Rows(first + i) == 0) return absl::OkStatus();
      ASSIGN_OR_RETURN(written[i], WriteCell(static_cast<uint32_t>(first + i), code, spill));
      return absl::OkStatus();
    }));
    WriteBatch batch;
    for (uint32_t i = 0; i < count; ++i) {
      for (const WrittenPosting& posting : written[i]) {
        const std::string key = keys_.Of('p', posting.node);
        batch.Put(Table::kTree, key, EncodeCounted(posting.posting));
        extents_->Reference(posting.posting.pointer, {Table::kTree, key}, &batch);
      }
      spill.Release(first + i, &batch);
    }
    if (!batch.empty()) RETURN_IF_ERROR(Advance(Phase::kWrite, 0, std::move(batch)));
    RETURN_IF_ERROR(Report("write", first + count, cells()));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<TreeBuilder::WrittenPosting>> TreeBuilder::WriteCell(uint32_t cell, const PostingCode& code,
                                                                               const CellSpill& spill) const {
  ASSIGN_OR_RETURN(const std::string entries, spill.Load(cell));
  const size_t entry_bytes = EntryBytes(code), count = entries.size() / entry_bytes;
  const auto node_of = [&](size_t i) {
    uint32_t node;
    std::memcpy(&node, entries.data() + i * entry_bytes, sizeof(node));
    return node;
  };
  std::vector<uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return node_of(a) < node_of(b); });
  std::vector<WrittenPosting> written;
  std::vector<uint8_t> rows;
  for (size_t begin = 0; begin < count;) {
    size_t end = begin;
    rows.clear();
    for (; end < count && node_of(order[end]) == node_of(order[begin]); ++end) {
      const uint8_t* row = reinterpret_cast<const uint8_t*>(entries.data()) + order[end] * entry_bytes + sizeof(uint32_t);
      rows.insert(rows.end(), row, row + code.row_bytes());
    }
    ASSIGN_OR_RETURN(const storage::ExtentPointer pointer,
                     extents_->Append(EncodePosting(code, cell, rows.data(), end - begin)));
    written.push_back({node_of(order[begin]), {pointer, static_cast<uint32_t>(end - begin)}});
    begin = end;
  }
  return written;
}

absl::Status TreeBuilder::Finish() {
  const size_t n = dimension();
  ASSIGN_OR_RETURN(const std::unique_ptr<LeafTable> leaves, LoadLeaves());
  std::vector<float> sample(leaves->centroid(0), leaves->centroid(0) + leaves->size() * n);
  const Metric metric = options_.tree.metric == Metric::kDot ? Metric::kDot : Metric::kL2;
  ASSIGN_OR_RETURN(const std::unique_ptr<Code> centroid_code,
                   TrainCode({.kind = CodeKind::kSq8, .dimension = dimension(), .metric = metric}, sample));
  header_.centroid_code = centroid_code->Serialize();
  WriteBatch batch;
  std::string code(centroid_code->bytes(), '\0');
  const auto put = [&](uint32_t node, uint32_t parent, uint32_t anchor, bool leaf, const float* centroid) {
    centroid_code->Encode(centroid, reinterpret_cast<uint8_t*>(code.data()));
    batch.Put(Table::kTree, keys_.Of('n', node), EncodeNode({parent, anchor, leaf, code}));
  };
  for (uint32_t cell = 0; cell < cells(); ++cell) put(1 + cell, 0, cell, false, leaves->anchor(cell));
  for (size_t leaf = 0; leaf < leaves->size(); ++leaf) {
    put(leaves->node(leaf), 1 + leaves->cell(leaf), leaves->cell(leaf), true, leaves->centroid(leaf));
    batch.Delete(Table::kTree, keys_.Of('l', leaves->node(leaf)));
  }
  batch.Put(Table::kTree, keys_.Prefix('m'), EncodeHeader(header_));
  batch.Delete(Table::kTree, keys_.Prefix('b'));
  return store_->Write(std::move(batch)).status();
}

}  // namespace larder::index
