// The rows of a tree in the store's table kTree. Keys begin with space u32, tenant u32 and a tag, big endian; what
// is shared by all tenants is under tenant 0, which is also the only tenant of an untenanted collection.
//
//   tag  rest of the key          value
//   'm'  -                        the tree: TreeHeader, record version 1
//   'a'  anchor u32               dimension f32
//   'n'  node u32                 NodeRow, record version 1
//   'p'  node u32                 pointer (24 bytes), then entries u32: the posting of this tenant at the node
//   'g'  group u32                a group of full vectors (vector_group.h)
//   'd'  node u32, sequence u64   an entry in row form (posting_code.h), not yet in the posting
//   'v'  group u32, slot u32      a row (vector_pages.h) of a group that is not full yet, and has no row 'g'
//   'i'  -                        next node u32, next group u32: ids below were given out since the build
//   'j'  node u32                 a leaf that was split: its neighbours' entries may be nearer to its children
//   'x'  vid u64                  deleted: empty, or the row's group u32 (big endian) once an entry has left its leaf
//   'b'  -                        how far a build is; gone when it is done
//   'c'  cell u32, chunk u32      pointer, rows u32: what a build set aside
//   'l'  node u32                 cell u32 (big endian), dimension f32: a leaf's centroid during a build
#ifndef LARDER_INDEX_TREE_TREE_ROWS_H_
#define LARDER_INDEX_TREE_TREE_ROWS_H_

#include <cstdint>
#include <limits>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "index/tree/posting_code.h"
#include "index/tree/vector_pages.h"
#include "storage/extent_store.h"

namespace larder::index {

struct TreeOptions {
  uint32_t space = 0;
  uint32_t dimension = 0;
  Metric metric = Metric::kCosine;
  RowElement element = RowElement::kF16;
  uint32_t bits = 0;          // 1 to 8; 0: chosen by the build
  uint32_t leaf_entries = 0;  // a leaf's aim, copies counted; 0: chosen by the dimension
  uint32_t copies = 2;        // 1 or 2
  uint64_t seed = 42;
  absl::Status Validate() const;
};

// How wide a search looks, for one recall at 10. Measured.
struct ProbeRule {
  float recall = 0;
  uint32_t postings = 0, candidates = 0;  // at most
  // A leaf is left out if its centroid is farther than the nearest one's by more than `gap` times the latter's
  // distance: an easy query reads less. Infinite: none is.
  float gap = std::numeric_limits<float>::infinity();
  friend bool operator==(const ProbeRule&, const ProbeRule&) = default;
};

struct TreeHeader {
  TreeOptions options;
  std::string centroid_code;  // Code::Serialize
  uint32_t next_node = 0, next_group = 0, anchors = 0;
  std::vector<ProbeRule> rules;  // ascending in recall
};
std::string EncodeHeader(const TreeHeader& header);
absl::StatusOr<TreeHeader> DecodeHeader(absl::string_view bytes);

struct NodeRow {
  uint32_t parent = 0, anchor = 0;
  bool leaf = false;
  std::string centroid;  // by the header's centroid code
};
std::string EncodeNode(const NodeRow& node);
absl::StatusOr<NodeRow> DecodeNode(absl::string_view bytes);

// A pointer and how many entries or rows it has.
struct CountedPointer {
  storage::ExtentPointer pointer;
  uint32_t count = 0;
};
std::string EncodeCounted(const CountedPointer& value);
absl::StatusOr<CountedPointer> DecodeCounted(absl::string_view bytes);

// Keys of one (space, tenant).
class TreeKeys {
 public:
  explicit TreeKeys(uint32_t space, uint32_t tenant = 0);
  std::string Prefix(char tag) const { return base_ + tag; }
  std::string Of(char tag, uint32_t number) const;
  std::string Of(char tag, uint32_t number, uint32_t second) const;
  std::string OfVid(char tag, uint64_t vid) const;
  std::string Delta(uint32_t node, uint64_t sequence) const;
  // What follows the tag.
  absl::string_view Rest(absl::string_view key) const { return key.substr(base_.size() + 1); }

 private:
  std::string base_;
};

std::string FloatBytes(absl::Span<const float> values);
absl::StatusOr<std::vector<float>> FloatsOf(absl::string_view bytes, size_t count, absl::string_view what);

}  // namespace larder::index

#endif  // LARDER_INDEX_TREE_TREE_ROWS_H_
