// Safetensors: named tensors in one file (https://github.com/huggingface/safetensors).
//
//   u64 header length (little endian) | JSON header, padded with spaces | tensors, back to back
#ifndef LARDER_ENGINE_SAFETENSORS_H_
#define LARDER_ENGINE_SAFETENSORS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace larder {

struct TensorView {
  std::string name;
  std::string dtype;            // "F32", "F16", "BF16", "I64", ... as the file spells it
  std::vector<uint64_t> shape;  // empty = a scalar
  absl::string_view data;       // little endian, row-major; not owned
};

// A file mapped into memory. Immutable, thread-safe. Data views live as long as this object, and
// the file must not be truncated meanwhile (replacing it by rename is fine).
class SafetensorsFile {
 public:
  // NotFound if there is no such file; DataLoss, naming the fault, unless the header is well formed
  // and the tensors fill the rest of the file without gap or overlap.
  static absl::StatusOr<SafetensorsFile> Open(const std::string& path);

  const std::vector<TensorView>& tensors() const { return tensors_; }  // by place in the file
  const TensorView* Find(absl::string_view name) const;                // null if absent
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  absl::string_view contents() const;  // the whole file
  // Takes the pages that were read out of this process's memory; what is touched again is read again.
  void DropPages() const;

 private:
  struct Mapping;
  SafetensorsFile() = default;
  absl::Status Parse(const std::string& path);

  std::shared_ptr<const Mapping> mapping_;  // copies share it
  std::vector<TensorView> tensors_;
  std::map<std::string, std::string> metadata_;
};

// Bytes of one element; 0 for a dtype that is not known.
size_t SafetensorsDtypeBytes(absl::string_view dtype);

// Replaces `path` at once: a temporary file beside it, synced and renamed. The widest elements come
// first, so that each tensor is aligned to its element. InvalidArgument if a view's dtype, shape and
// bytes disagree, or a name occurs twice or is not UTF-8.
absl::Status WriteSafetensors(const std::string& path, absl::Span<const TensorView> tensors,
                              const std::map<std::string, std::string>& metadata);

}  // namespace larder

#endif  // LARDER_ENGINE_SAFETENSORS_H_
