// Recall on demand for one index: chooses ef for a target, says what to expect of an ef. Joins the
// calibration (with moved rows at first, with users' queries once enough were sampled) with the live
// check.
#ifndef LARDER_INDEX_RECALL_RECALL_TUNER_H_
#define LARDER_INDEX_RECALL_RECALL_TUNER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "index/recall/calibration.h"
#include "index/recall/live_check.h"
#include "index/recall/recall_table.h"
#include "index/vector_index.h"

namespace larder::index {

// An index with fewer rows is not worth measuring.
inline constexpr uint64_t kCalibrateRows = 1'000;

// Figures for people. Without checks the estimate is what the calibration expects.
struct RecallReport {
  std::optional<double> recall;  // none before the first calibration
  double standard_error = 0;
  uint64_t checked = 0;          // queries answered again exactly
  uint32_t table_size = 0;       // calibrated points
  double correction = 1;         // ef is so much larger than rows alone would need
};

// Thread-safe. EfFor, Expect and Offer are for the search path and wait for nothing but the swap of a
// pointer; Calibrate and CheckSome are for one background thread.
class RecallTuner {
 public:
  explicit RecallTuner(CalibrationOptions calibration = {}, LiveCheckOptions live = {});

  // The ef for this target. Before the first calibration, a wide one: at least 96 and 2 k, twice that
  // above 0.9, four times above 0.95, eight times above 0.98.
  uint32_t EfFor(double target, uint32_t k) const;
  // The recall to expect at this ef; none before the first calibration.
  std::optional<double> Expect(uint32_t ef, uint32_t k) const;
  void Offer(const AnsweredSearch& search) { live_.Offer(search); }

  // Whether searches were offered and the index is new, or has since grown or churned by half, or was
  // measured with rows and could now be with users' queries.
  bool WantsCalibration(const IndexStats& stats) const;
  absl::Status Calibrate(const VectorIndex& index, const std::function<bool()>& stop);
  // Spends what the live check's budget allows; returns how many were checked.
  uint32_t CheckSome(const VectorIndex& index, const std::function<bool()>& stop);
  // The index was replaced: what was measured serves until it is measured again.
  void Replaced();

  RecallReport Report(uint32_t ef, uint32_t k) const;  // with what to expect of this ef
  std::shared_ptr<const RecallTable> table() const;    // null before the first calibration
  const LiveCheck& live() const { return live_; }

  // The last calibration, to be restored when the same index is loaded again; "" before the first.
  std::string Serialize() const;
  // DataLoss if the bytes are damaged; then nothing is changed.
  absl::Status Restore(absl::string_view bytes);

 private:
  // `with_rows`: not with users' queries. `scan_ns`: what an exact answer takes.
  void SetTable(RecallTable table, const IndexStats& stats, bool with_rows, int64_t scan_ns);

  const CalibrationOptions calibration_;
  LiveCheck live_;
  mutable absl::Mutex mutex_;
  std::shared_ptr<const RecallTable> table_ ABSL_GUARDED_BY(mutex_);
  IndexStats measured_ ABSL_GUARDED_BY(mutex_);
  bool stale_ ABSL_GUARDED_BY(mutex_) = true;
  bool with_rows_ ABSL_GUARDED_BY(mutex_) = true;
  int64_t scan_ns_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace larder::index

#endif  // LARDER_INDEX_RECALL_RECALL_TUNER_H_
