// A compressed set of vids: the answer of a filter, the live rows of a collection. A thin cover
// over CRoaring's 64-bit bitmap, whose header stays out of ours.
#ifndef LARDER_INDEX_VID_SET_H_
#define LARDER_INDEX_VID_SET_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace larder::index {

// Thread-compatible value.
class VidSet {
 public:
  VidSet();
  ~VidSet();
  VidSet(const VidSet&);
  VidSet& operator=(const VidSet&);
  VidSet(VidSet&&) noexcept;
  VidSet& operator=(VidSet&&) noexcept;

  void Add(uint64_t vid);
  void AddMany(absl::Span<const uint64_t> vids);  // quickest in order
  void AddRange(uint64_t begin, uint64_t end);  // [begin, end)
  void Remove(uint64_t vid);
  bool Contains(uint64_t vid) const;
  uint64_t size() const;
  bool empty() const { return size() == 0; }
  uint64_t bytes() const;  // resident

  VidSet& operator&=(const VidSet& other);
  VidSet& operator|=(const VidSet& other);
  VidSet& operator-=(const VidSet& other);
  friend bool operator==(const VidSet& a, const VidSet& b) { return a.Equals(b); }

  // In ascending order, until `visit` returns false.
  void ForEach(const std::function<bool(uint64_t)>& visit) const;

  // The same, 64 vids at a time: bit i of `bits`, which is not zero, stands for first + i; first % 64 == 0.
  void ForEachWord(absl::FunctionRef<void(uint64_t first, uint64_t bits)> visit) const;

  std::string Serialize() const;
  // DataLoss if the bytes are not a bitmap.
  static absl::StatusOr<VidSet> Deserialize(absl::string_view bytes);

 private:
  bool Equals(const VidSet& other) const;
  struct Rep;
  std::unique_ptr<Rep> rep_;
};

}  // namespace larder::index

#endif  // LARDER_INDEX_VID_SET_H_
