// A KV entry in shared memory, seen where it lies.
#ifndef LARDER_KV_VIEW_H_
#define LARDER_KV_VIEW_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "larder/kv_types.h"

namespace larder {

// Holds the entry where it is: while the view lives, the bytes it has shown stay what they are, although
// the entry is evicted or its document deleted. So let it go soon: it keeps memory from being used again.
// It may outlive the database. Movable; thread-compatible.
class KvView {
 public:
  class State;  // private to the engine

  KvView() = default;  // holds nothing
  explicit KvView(std::shared_ptr<const State> state) : state_(std::move(state)) {}

  uint32_t layers() const;
  uint32_t tokens() const;
  const std::string& codec() const;
  // Position of K's first token, where K is kept rotated; absent: K is kept before RoPE.
  std::optional<uint32_t> rotated_from() const;

  // Copies nothing. FailedPrecondition if the view holds nothing (any more), InvalidArgument for a layer
  // that the entry does not have.
  absl::StatusOr<KvLayerView> Layer(uint32_t layer) const;
  // What Layer gave may be overwritten from now on.
  void Release() { state_ = nullptr; }

 private:
  std::shared_ptr<const State> state_;
};

}  // namespace larder

#endif  // LARDER_KV_VIEW_H_
