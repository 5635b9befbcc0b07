// What most codes see of a vector x: o = R(x - c), c the sample's mean and R a random rotation.
#ifndef LARDER_INDEX_CODES_FRAME_H_
#define LARDER_INDEX_CODES_FRAME_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/codes/code.h"
#include "index/codes/rotation.h"
#include "storage/coding.h"

namespace larder::index {

// Thread-safe. Centring costs a query nothing: <q, x> = <q, x - c> + <q, c>, and under l2 it is a
// translation. So for a query q, with q' = Rq (l2: R(q - c)) and the o of any x,
//
//   distance(q, x) = constant + weight * <q', o> + (l2: |o|^2)
class Frame {
 public:
  struct Query {
    float constant = 0, weight = 0;
  };

  // InvalidArgument if `sample` is empty or not whole rows.
  static absl::StatusOr<std::unique_ptr<Frame>> Train(const CodeOptions& options, absl::Span<const float> sample);
  static absl::StatusOr<std::unique_ptr<Frame>> Parse(const CodeOptions& options, storage::RecordReader* reader);
  void Append(storage::RecordWriter* writer) const;

  void Enter(const float* vector, float* o) const;
  void Leave(const float* o, float* vector) const;
  Query Prepare(const float* query, float* rotated) const;
  std::vector<float> RotatedCentre() const;  // Rc

 private:
  Frame(const CodeOptions& options, std::vector<float> centre);

  const Metric metric_;
  const std::vector<float> centre_;
  const Rotation rotation_;
};

}  // namespace larder::index

#endif  // LARDER_INDEX_CODES_FRAME_H_
