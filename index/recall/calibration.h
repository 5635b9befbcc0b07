// Measures which ef buys which recall on this index: with users' queries where there are enough, else
// with queries made from its rows.
//
// A row itself is too easy a query: the graph links it to its neighbours (a quarter of GloVe, ef 10:
// recall 0.78 for rows, 0.64 for words left out). So it is moved by noise, as far as 0.7 of the way to its
// tenth neighbour, and left out of its own answer.
//
// What is promised: an estimate, for queries such as those it was measured with. Users' queries may lie
// elsewhere and be harder; `live_check.h` watches them and corrects.
#ifndef LARDER_INDEX_RECALL_CALIBRATION_H_
#define LARDER_INDEX_RECALL_CALIBRATION_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "index/recall/exact_scan.h"
#include "index/recall/recall_table.h"
#include "index/vector_index.h"

namespace larder::index {

struct CalibrationOptions {
  uint32_t queries = 200;               // drawn from the rows, or the first so many of `asked`
  std::vector<std::vector<float>> asked;  // users' queries; used alone where there are any
  uint32_t least_queries = 24;          // asked even where that takes longer than `exact_budget`
  std::vector<uint32_t> ks = {10, 30, 100};  // a curve each, ascending
  double enough = 0.999;                // a curve ends at the first ef with this recall
  uint64_t seed = 42;
  absl::Duration exact_budget = absl::Seconds(20);   // then the rest of the sample is dropped
  absl::Duration search_budget = absl::Seconds(20);  // then curves end early
  NanoClock clock = &SteadyNanos;
};

struct Calibration {
  RecallTable table;
  int64_t scan_ns = 0;  // what one exact answer took, on average
};

// Cancelled when `stop` says so (asked between searches and pieces of a scan), FailedPrecondition for
// an index with fewer rows than twice the largest k. Same index, seed and options: same table, unless
// a budget ends.
absl::StatusOr<Calibration> Calibrate(const VectorIndex& index, const CalibrationOptions& options,
                                      const std::function<bool()>& stop);

}  // namespace larder::index

#endif  // LARDER_INDEX_RECALL_CALIBRATION_H_
