// A vector space's trees: opened, built beside what serves, caught up, swapped in.
#include <algorithm>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/vector_space.h"
#include "index/tree/tree_build.h"
#include "index/tree/tree_drop.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

using index::VidSet;
using storage::WriteBatch;

constexpr size_t kRowsAtOnce = 1024;
// Writers are held back for so many rows at most; more are caught up before, beside them.
constexpr size_t kFewRows = 512;
constexpr int kRounds = 50;
constexpr uint32_t kMeasured = 200;             // queries
constexpr uint64_t kMeasuredRows = 40'000'000;  // a measurement compares so many rows at most, about

uint32_t MeasuredQueries(uint64_t rows) {
  return static_cast<uint32_t>(std::clamp<uint64_t>(kMeasuredRows / std::max<uint64_t>(1, rows), 50, kMeasured));
}

// Entries that may wait to be folded; a leaf's are folded from 32 on.
constexpr uint64_t kWaitingEntries = 16'384, kWaitingPerLeaf = 16;
constexpr int kMostPieces = 256;  // of background work, for one call

// Whoever writes faster than the gardener folds helps it: what waits stays small, in memory and for searches.
void FoldWaiting(index::TreeIndex* tree) {
  for (int piece = 0; piece < kMostPieces; ++piece) {
    const index::TreeStats stats = tree->Stats();
    if (stats.deltas < kWaitingEntries + kWaitingPerLeaf * stats.leaves) return;
    if (!tree->Maintain().value_or(false)) return;  // a failure is met again by the gardener
  }
}

constexpr char kWaiting[] = "the first tree is being built; until then stored rows are compared";

// A build that failed so goes on from where it was; after any other failure it starts anew.
bool IsPassing(const absl::Status& status) {
  return absl::IsCancelled(status) || absl::IsResourceExhausted(status) || absl::IsUnavailable(status);
}

}  // namespace

std::shared_ptr<TreeSpace> VectorSpace::tree() const {
  const auto index = this->index();
  return index->options().kind == index::Kind::kTree ? std::static_pointer_cast<TreeSpace>(index) : nullptr;
}

absl::StatusOr<bool> VectorSpace::LoadTree(VidSet live) {
  ASSIGN_OR_RETURN(const TreeState state, ReadTreeState(*store_, collection_, number_));
  if (state.active == 0) {
    const uint64_t vectors = live.size();
    if (TargetKind(vectors) != index::Kind::kTree || vectors * options_.dimension * sizeof(float) <= memory_.waiting_bytes) {
      return false;
    }
    index_ = WaitingForTree(std::move(live));
    return true;
  }
  auto opened = index::TreeIndex::Open(store_, extents_, TreeNumber(collection_, number_, state.active));
  if (!opened.ok() && !absl::IsDataLoss(opened.status()) && !absl::IsNotFound(opened.status())) return opened.status();
  absl::Status damage = opened.ok() ? absl::OkStatus() : absl::DataLossError(opened.status().message());
  index_ = std::make_shared<TreeSpace>(rows(), metric(), opened.ok() ? *std::move(opened) : nullptr, std::move(live),
                                       std::move(damage));
  tree_built_rows_ = state.built_rows;
  return true;
}

bool VectorSpace::WantsTree() const {
  const auto index = this->index();
  const uint64_t vectors = index->Stats().live;
  if (index->options().kind != index::Kind::kTree) return TargetKind(vectors) == index::Kind::kTree;
  absl::ReaderMutexLock lock(&mutex_);
  if (!static_cast<const TreeSpace&>(*index).damage().ok()) return vectors > 0;
  return vectors > kTreeGrowth * std::max(tree_built_rows_, kLeastTreeVectors);
}

bool VectorSpace::LeaveMemory() {
  const auto index = this->index();
  if (options_.index != IndexKind::kAuto || options_.prefix > 0 || index->options().kind == index::Kind::kTree ||
      index->Stats().live < kLeastTreeVectors) {
    return false;
  }
  leaving_memory_ = true;
  return true;
}

absl::Status VectorSpace::Change(absl::Span<const uint64_t> vids, absl::Span<const float> vectors,
                                 absl::Span<const uint64_t> gone, WriteBatch batch, Commit next) {
  const std::shared_ptr<TreeSpace> tree = this->tree();
  if (tree == nullptr) return next(std::move(batch));
  return tree->Change(vids, vectors, gone, [&](WriteBatch rows) {
    batch.Append(rows);
    return next(std::move(batch));
  });
}

absl::Status VectorSpace::PutState(const TreeState& state, WriteBatch batch) {
  PutTreeState(collection_, number_, state, &batch);
  return store_->Write(std::move(batch)).status();
}

absl::Status VectorSpace::AbandonBuild(TreeState state) {
  WriteBatch batch;
  index::AppendTreeDrop(*store_, extents_, TreeNumber(collection_, number_, state.building), &batch).IgnoreError();
  state.building = 0;
  state.building_vids = VidSet();
  return PutState(state, std::move(batch));
}

absl::StatusOr<std::unique_ptr<index::TreeIndex>> VectorSpace::BuildTree(const TreeState& state,
                                                                         const std::function<bool()>& stop) {
  index::TreeBuildOptions options;
  options.tree.space = TreeNumber(collection_, number_, state.building);
  options.tree.dimension = options_.dimension;
  options.tree.metric = metric();
  // Unit vectors lose nothing to speak of in half floats; others may not fit.
  options.tree.element = options_.metric == Metric::kCosine ? index::RowElement::kF16 : index::RowElement::kF32;
  options.memory_bytes = memory_.build_bytes;
  options.threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  options.progress = [&stop](absl::string_view phase, uint64_t, uint64_t) {
    return stop() ? absl::CancelledError(absl::StrCat("a tree's build was stopped: ", phase)) : absl::OkStatus();
  };
  const StoredSource source(rows(), state.building_vids);
  const absl::Status built = index::BuildTree(store_, extents_, source, options);
  if (!built.ok() && !absl::IsAlreadyExists(built)) return built;  // it exists: killed between this and the swap
  ASSIGN_OR_RETURN(std::unique_ptr<index::TreeIndex> tree, index::TreeIndex::Open(store_, extents_, options.tree.space));
  if (tree->header().rules.empty()) RETURN_IF_ERROR(tree->Measure(MeasuredQueries(source.rows()), options.threads));
  return tree;
}

// What came and went since, in commits that also say so in the state: a kill leaves nothing that is done twice.
absl::StatusOr<size_t> VectorSpace::CatchUp(TreeSpace* fresh, TreeState* state) {
  const VidSet now = index()->LiveVids();
  VidSet missing = now, gone = fresh->LiveVids();
  missing -= gone;
  gone -= now;
  const std::vector<uint64_t> come = ToVector(missing), leave = ToVector(gone);
  std::vector<size_t> absent;
  for (size_t at = 0; at < come.size() || at < leave.size(); at += kRowsAtOnce) {
    const auto part = [at](const std::vector<uint64_t>& vids) {
      return absl::MakeConstSpan(vids).subspan(std::min(at, vids.size()), kRowsAtOnce);
    };
    std::vector<uint64_t> vids(part(come).begin(), part(come).end());
    std::vector<float> vectors(vids.size() * options_.dimension);
    RETURN_IF_ERROR(rows().Read(vids, vectors.data(), &absent));
    for (size_t i = absent.size(); i-- > 0;) {  // deleted meanwhile
      vids.erase(vids.begin() + absent[i]);
      const auto row = vectors.begin() + absent[i] * options_.dimension;
      vectors.erase(row, row + options_.dimension);
    }
    RETURN_IF_ERROR(fresh->Change(vids, vectors, part(leave), [&](WriteBatch batch) {
      for (const uint64_t vid : vids) state->building_vids.Add(vid);
      for (const uint64_t vid : part(leave)) state->building_vids.Remove(vid);
      return PutState(*state, std::move(batch));
    }));
    FoldWaiting(fresh->tree());
  }
  return come.size() + leave.size();
}

absl::Status VectorSpace::ReplaceByTree(absl::Mutex* gate, const std::function<bool()>& stop) {
  ASSIGN_OR_RETURN(TreeState state, ReadTreeState(*store_, collection_, number_));
  if (state.building == 0) {
    absl::MutexLock hold(gate);  // no vid is known whose row is not committed
    state.building = state.free_slot();
    state.building_vids = index()->LiveVids();
    RETURN_IF_ERROR(PutState(state, {}));
  }
  absl::StatusOr<std::unique_ptr<index::TreeIndex>> built = BuildTree(state, stop);
  if (!built.ok()) {
    {
      absl::MutexLock lock(&mutex_);
      problem_ = absl::StrCat("no tree yet: ", built.status().message());
    }
    if (!IsPassing(built.status())) RETURN_IF_ERROR(AbandonBuild(std::move(state)));
    return built.status();
  }
  auto fresh = std::make_shared<TreeSpace>(rows(), metric(), *std::move(built), state.building_vids);
  for (int round = 0; round < kRounds; ++round) {
    ASSIGN_OR_RETURN(const size_t changed, CatchUp(fresh.get(), &state));
    if (changed <= kFewRows) break;
    if (stop()) return absl::CancelledError("a tree's build was stopped: catching up");
  }
  absl::MutexLock hold(gate);
  RETURN_IF_ERROR(CatchUp(fresh.get(), &state).status());
  WriteBatch batch;
  if (state.active != 0) {
    index::AppendTreeDrop(*store_, extents_, TreeNumber(collection_, number_, state.active), &batch).IgnoreError();
  }
  TreeState next;
  next.active = state.building;
  next.built_rows = fresh->Stats().live;
  RETURN_IF_ERROR(PutState(next, std::move(batch)));
  {
    absl::MutexLock lock(&mutex_);
    tree_built_rows_ = next.built_rows;
    problem_.clear();
  }
  Serve(std::move(fresh));
  return absl::OkStatus();
}

absl::StatusOr<bool> VectorSpace::Maintain() {
  const std::shared_ptr<TreeSpace> tree = this->tree();
  if (tree == nullptr || tree->tree() == nullptr || !tree->damage().ok()) return false;
  return tree->tree()->Maintain();
}

std::shared_ptr<TreeSpace> VectorSpace::WaitingForTree(VidSet live) const {
  return std::make_shared<TreeSpace>(rows(), metric(), nullptr, std::move(live), absl::UnavailableError(kWaiting));
}

void VectorSpace::LeaveFlat(absl::Mutex* gate) {
  absl::MutexLock hold(gate);  // no vector is on its way into the index
  const auto index = this->index();
  if (index->options().kind == index::Kind::kFlat) Serve(WaitingForTree(index->LiveVids()));
}

void VectorSpace::HelpTree(absl::Mutex* gate) {
  const auto index = this->index();
  if (index->options().kind == index::Kind::kFlat) {
    const index::IndexStats stats = index->Stats();
    const bool fills = TargetKind(stats.live) == index::Kind::kTree && stats.resident_bytes > memory_.waiting_bytes;
    return fills ? LeaveFlat(gate) : void();
  }
  const std::shared_ptr<TreeSpace> tree = this->tree();
  if (tree != nullptr && tree->tree() != nullptr && tree->damage().ok()) FoldWaiting(tree->tree());
}

absl::StatusOr<bool> VectorSpace::Relocate(const storage::ExtentOwner& owner, const storage::ExtentPointer& from,
                                           const storage::ExtentPointer& to, WriteBatch* batch) {
  const uint32_t number = storage::ReadKey32(owner.key.data());
  const std::shared_ptr<TreeSpace> tree = this->tree();
  if (tree != nullptr && tree->tree() != nullptr && tree->tree()->header().options.space == number) {
    return tree->tree()->Relocate(owner, from, to, batch);
  }
  ASSIGN_OR_RETURN(const TreeState state, ReadTreeState(*store_, collection_, number_));
  const bool known = (state.active != 0 && TreeNumber(collection_, number_, state.active) == number) ||
                     (state.building != 0 && TreeNumber(collection_, number_, state.building) == number);
  // Its extents stay where they are until it serves, or is gone.
  if (known) return absl::AbortedError("a tree is being built");
  return false;
}

absl::Status VectorSpace::VerifyTree(absl::string_view where, std::vector<std::string>* problems) const {
  const std::shared_ptr<TreeSpace> tree = this->tree();
  if (tree == nullptr || absl::IsUnavailable(tree->damage())) return absl::OkStatus();
  if (tree->tree() == nullptr) {
    problems->push_back(absl::StrCat(where, ": the tree cannot be read: ", tree->damage().message()));
    return absl::OkStatus();
  }
  const size_t before = problems->size();
  const absl::StatusOr<uint64_t> sound = tree->tree()->Verify(problems);
  if (absl::IsNotFound(sound.status())) {
    problems->push_back(absl::StrCat("tree: ", sound.status().message()));
  } else {
    RETURN_IF_ERROR(sound.status());
  }
  const uint64_t live = tree->Stats().live;
  if (problems->size() == before && *sound < live) {
    problems->push_back(absl::StrCat("tree: ", *sound, " rows, expected ", live, " at least"));
  }
  for (size_t i = before; i < problems->size(); ++i) (*problems)[i] = absl::StrCat(where, ": ", (*problems)[i]);
  return absl::OkStatus();
}

void VectorSpace::AppendDrop(WriteBatch* batch) const {
  const auto state = ReadTreeState(*store_, collection_, number_);
  if (state.ok() && state->active == 0 && state->building == 0) return;
  for (const uint8_t slot : {1, 2}) {
    index::AppendTreeDrop(*store_, extents_, TreeNumber(collection_, number_, slot), batch).IgnoreError();
  }
  batch->Delete(storage::Table::kMeta, TreeStateKey(collection_, number_));
}

void VectorSpace::FillTreeInfo(const TreeSpace& tree, VectorSpaceInfo* info) const {
  const absl::Status damage = tree.damage();
  if (absl::IsUnavailable(damage)) {  // all vectors are compared, as by a flat index
    info->serving = IndexKind::kFlat;
    info->recall_estimate = 1;
    if (info->problem.empty()) info->problem = std::string(damage.message());
    return;
  }
  info->serving = IndexKind::kTree;
  if (!damage.ok()) info->problem = absl::StrCat("the tree is built anew: ", damage.message());
  if (tree.tree() == nullptr) return;
  info->code = absl::StrCat("rabitq", tree.tree()->header().options.bits);
  const auto& rules = tree.tree()->header().rules;
  const auto rule = std::find_if(rules.begin(), rules.end(), [](const auto& r) { return r.recall >= 0.95f; });
  if (rule != rules.end() && rule->recall < 1) info->recall_estimate = rule->recall;
}

}  // namespace larder
