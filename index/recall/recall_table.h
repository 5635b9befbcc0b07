// How much recall which ef buys: measured points, made monotone, read in both directions.
#ifndef LARDER_INDEX_RECALL_RECALL_TABLE_H_
#define LARDER_INDEX_RECALL_RECALL_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace larder::index {

inline constexpr uint32_t kMaxEf = 10'000;

struct RecallPoint {
  uint32_t ef = 0;
  double recall = 0;
  double standard_error = 0;  // of `recall`, over the queries it was measured with
};

// The points of one k, by ascending ef. Recall never falls with ef (isotonic regression sees to it).
struct RecallCurve {
  uint32_t k = 0;
  std::vector<RecallPoint> points;
};

// Thread-compatible value. Between points it interpolates log(ef) against recall; between the k of
// two curves, log(ef) against log(k); beyond the last curve ef grows in proportion to k.
class RecallTable {
 public:
  RecallTable() = default;
  // Curves by ascending k, each with at least one point; `queries` is how many measured them.
  RecallTable(std::vector<RecallCurve> curves, uint32_t queries);

  bool empty() const { return curves_.empty(); }
  size_t size() const;  // points of all curves
  uint32_t queries() const { return queries_; }
  const std::vector<RecallCurve>& curves() const { return curves_; }

  // The ef whose recall lies one standard error above `target`; from k to kMaxEf. If no point
  // reaches it, twice the last point's ef. The table must not be empty, as for all that follow.
  uint32_t EfFor(double target, uint32_t k) const;
  // What to expect at this ef, and how sure that is.
  RecallPoint At(double ef, uint32_t k) const;
  // The ef at which this recall is expected, without margin; also a little beyond the points.
  double EfOf(double recall, uint32_t k) const;

  std::string Serialize() const;
  // DataLoss if the bytes are not a table.
  static absl::StatusOr<RecallTable> Deserialize(absl::string_view bytes);

 private:
  std::vector<RecallCurve> curves_;
  uint32_t queries_ = 0;
};

}  // namespace larder::index

#endif  // LARDER_INDEX_RECALL_RECALL_TABLE_H_
