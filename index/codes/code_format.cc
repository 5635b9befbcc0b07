#include "index/codes/code_format.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace larder::index {

static_assert(std::endian::native == std::endian::little, "codes are stored as memory holds them");

storage::RecordWriter BeginCode(const CodeOptions& options) {
  storage::RecordWriter writer(kCodeFormatVersion);
  writer.U8(static_cast<uint8_t>(options.kind));
  writer.U8(static_cast<uint8_t>(options.metric));
  writer.U32(options.dimension);
  writer.U32(options.bits);
  writer.U32(options.parts);
  writer.U64(options.seed);
  return writer;
}

void AppendFloats(absl::Span<const float> values, storage::RecordWriter* writer) {
  writer->Bytes({reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)});
}

absl::Status ReadFloats(storage::RecordReader* reader, size_t count, std::vector<float>* out) {
  const absl::string_view bytes = reader->Bytes();
  if (!reader->status().ok()) return reader->status();
  if (bytes.size() != count * sizeof(float)) {
    return absl::DataLossError(
        absl::StrCat("code: expected ", count * sizeof(float), " bytes of numbers, found ", bytes.size()));
  }
  out->resize(count);
  if (count > 0) std::memcpy(out->data(), bytes.data(), bytes.size());
  for (float value : *out) {
    if (!std::isfinite(value)) return absl::DataLossError("code: a number is not finite");
  }
  return absl::OkStatus();
}

absl::Status CheckSample(const CodeOptions& options, absl::Span<const float> sample, size_t rows) {
  if (sample.size() % options.dimension != 0 || sample.size() / options.dimension < rows) {
    return absl::InvalidArgumentError(absl::StrCat("training ", CodeName(options), ": expected at least ", rows,
                                                   " rows of ", options.dimension, " numbers, found ",
                                                   sample.size(), " numbers"));
  }
  return absl::OkStatus();
}

}  // namespace larder::index
