// What the conversions share. Private to proto/.
#ifndef LARDER_PROTO_CONVERT_COMMON_H_
#define LARDER_PROTO_CONVERT_COMMON_H_

#include <cstddef>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "larder/types.h"
#include "larder/v1/types.pb.h"

namespace larder {

inline void SetVector(const std::vector<float>& vector, v1::Vector* message) {
  message->mutable_values()->Assign(vector.begin(), vector.end());
}
inline std::vector<float> GetVector(const v1::Vector& message) {
  return {message.values().begin(), message.values().end()};
}

inline void SetSpan(const ByteSpan& span, v1::ByteSpan* message) {
  message->set_begin(span.begin);
  message->set_end(span.end);
}
inline ByteSpan GetSpan(const v1::ByteSpan& message) { return {message.begin(), message.end()}; }

// One enum's values on both sides. InvalidArgument, naming `what`, for a value that is not listed.
template <typename Ours, typename Theirs, size_t kCount>
struct EnumTable {
  const char* what;
  std::pair<Ours, Theirs> rows[kCount];

  absl::StatusOr<Theirs> To(Ours value) const {
    for (const auto& [ours, theirs] : rows) {
      if (ours == value) return theirs;
    }
    return Unknown(static_cast<int>(value));
  }
  absl::StatusOr<Ours> From(Theirs value) const {
    for (const auto& [ours, theirs] : rows) {
      if (theirs == value) return ours;
    }
    return Unknown(static_cast<int>(value));
  }

 private:
  absl::Status Unknown(int value) const {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " is ", value, ", which is unset or not known to this version"));
  }
};

}  // namespace larder

#endif  // LARDER_PROTO_CONVERT_COMMON_H_
