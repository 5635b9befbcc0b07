#include "index/recall/exact_scan.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "storage/status_macros.h"

namespace larder::index {
namespace {

constexpr uint64_t kPieceRows = 1'000'000;
constexpr float kTie = 1e-6f;  // relative

}  // namespace

int64_t SteadyNanos() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

ExactScan::ExactScan(const VectorIndex& index, Vid end_vid) : index_(index) {
  VidSet live = index.LiveVids();
  if (end_vid != std::numeric_limits<Vid>::max()) {
    VidSet old;
    old.AddRange(0, end_vid);
    live &= old;
  }
  rows_ = live.size();
  if (rows_ <= kPieceRows) {
    pieces_.push_back(std::move(live));
    return;
  }
  uint64_t placed = 0;
  live.ForEach([&](Vid vid) {
    if (placed++ % kPieceRows == 0) pieces_.emplace_back();
    pieces_.back().Add(vid);
    return true;
  });
}

absl::StatusOr<std::vector<Neighbor>> ExactScan::Nearest(absl::Span<const float> query, uint32_t k,
                                                         const std::function<bool()>& stop) const {
  std::vector<Neighbor> nearest;
  for (const VidSet& piece : pieces_) {
    if (stop && stop()) return absl::CancelledError("exact scan: stopped");
    ASSIGN_OR_RETURN(const std::vector<Neighbor> found, index_.Score(query, piece, k));
    nearest.insert(nearest.end(), found.begin(), found.end());
    std::sort(nearest.begin(), nearest.end());
    if (nearest.size() > k) nearest.resize(k);
  }
  return nearest;
}

double RecallOf(absl::Span<const Neighbor> answer, absl::Span<const Neighbor> exact) {
  if (exact.empty()) return 1;
  const float last = exact.back().distance;
  const float reach = last + kTie * std::max(std::abs(last), kTie);
  size_t found = 0;
  for (const Neighbor& neighbor : answer.first(std::min(answer.size(), exact.size()))) {
    const auto same = [&](const Neighbor& other) { return other.vid == neighbor.vid; };
    if (neighbor.distance <= reach || std::any_of(exact.begin(), exact.end(), same)) ++found;
  }
  return static_cast<double>(found) / static_cast<double>(exact.size());
}

}  // namespace larder::index
