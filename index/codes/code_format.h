// The byte format of trained codes, after index/codes/code.h: a record of version 1 (storage/coding.h) with
//
//   u8 kind, u8 metric, u32 dimension, u32 bits, u32 parts, u64 seed, then what the kind learned:
//   f32, f16                    nothing
//   sq*, binary, rabitq         the centre: dimension f32, little endian, as one field of bytes
//   pq, opq                     two such fields: the rotation, dimension^2 (opq) or none (pq), row-major; the
//                               centroids, [part][dimension of the part][256]
#ifndef LARDER_INDEX_CODES_CODE_FORMAT_H_
#define LARDER_INDEX_CODES_CODE_FORMAT_H_

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/codes/code.h"
#include "storage/coding.h"

namespace larder::index {

constexpr uint8_t kCodeFormatVersion = 1;

// A record begun with the options.
storage::RecordWriter BeginCode(const CodeOptions& options);
void AppendFloats(absl::Span<const float> values, storage::RecordWriter* writer);
// Exactly `count` finite numbers, or DataLoss; allocates only what is there.
absl::Status ReadFloats(storage::RecordReader* reader, size_t count, std::vector<float>* out);

// InvalidArgument unless `sample` is at least `rows` whole rows.
absl::Status CheckSample(const CodeOptions& options, absl::Span<const float> sample, size_t rows);

// Each family of kinds: from a sample, and from what follows the options in its record. Options are valid
// and complete (no defaults left).
using CodeOr = absl::StatusOr<std::unique_ptr<Code>>;
CodeOr TrainScalarCode(const CodeOptions& options, absl::Span<const float> sample);
CodeOr ParseScalarCode(const CodeOptions& options, storage::RecordReader* reader);
CodeOr MakePlainCode(const CodeOptions& options);
CodeOr TrainBitCode(const CodeOptions& options, absl::Span<const float> sample);
CodeOr ParseBitCode(const CodeOptions& options, storage::RecordReader* reader);
CodeOr TrainPqCode(const CodeOptions& options, absl::Span<const float> sample);
CodeOr ParsePqCode(const CodeOptions& options, storage::RecordReader* reader);

}  // namespace larder::index

#endif  // LARDER_INDEX_CODES_CODE_FORMAT_H_
