// What a collection says of itself.
#ifndef LARDER_COLLECTION_INFO_H_
#define LARDER_COLLECTION_INFO_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "larder/types.h"

namespace larder {

struct VectorSpaceInfo {
  std::string name;
  uint32_t dimension = 0;
  Metric metric = Metric::kCosine;
  IndexKind requested = IndexKind::kAuto, serving = IndexKind::kFlat;
  uint64_t vectors = 0, tombstones = 0, resident_bytes = 0;  // vectors: live
  std::string code;  // how the index holds them: "f32", "sq4x8", 12 bits a dimension, or "rabitq" and its bits
  std::string problem;  // what keeps the index from being what it should be; "" = nothing
  std::optional<double> recall_estimate;  // of unfiltered searches; until any was checked, of the default ef
  double recall_standard_error = 0, recall_correction = 1;  // correction: factor of ef, learnt from checks
  uint64_t recall_checked = 0, recall_points = 0;  // queries checked since calibration; size of its table
};
struct CollectionInfo {
  std::string name;
  uint64_t documents = 0, chunks = 0;
  std::string embedder;          // its name and fingerprint
  std::vector<VectorSpaceInfo> spaces;
};

}  // namespace larder

#endif  // LARDER_COLLECTION_INFO_H_
