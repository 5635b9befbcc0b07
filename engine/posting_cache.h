// Bitmaps of metadata rows in memory, of one collection: what filters read again and again. A cache: the rows of
// kFields are the truth, and anything here may be dropped at any time.
//
// It rests on vids being immutable: a vid's rows never change, so a bitmap once read lacks nothing but the vids
// written since, which each write tells of (Add), and holds nothing wrong but the vids removed since, which the
// set of live vids takes away. A bitmap is announced before its rows are read, so that a write either commits
// before the reading or is told of after the announcement.
#ifndef LARDER_ENGINE_POSTING_CACHE_H_
#define LARDER_ENGINE_POSTING_CACHE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "engine/number_column.h"
#include "index/vid_set.h"
#include "storage/store.h"

namespace larder {

// Row keys in [begin, end); all of them begin with `prefix`. "" = to the end of the prefix.
struct KeyRange {
  std::string prefix, begin, end;
  bool one_value = false;  // these rows differ in their vids only
  bool Holds(absl::string_view key) const { return key >= begin && (end.empty() || key < absl::string_view(end)); }
};

// Thread-safe.
class PostingCache {
 public:
  PostingCache(const storage::Store& store, uint64_t max_bytes) : store_(store), max_bytes_(max_bytes) {}

  using Vids = std::shared_ptr<const index::VidSet>;
  // The vids of all rows in the range, and perhaps of some that were removed.
  absl::StatusOr<Vids> Rows(const KeyRange& range);
  // The same for numbers: `range.prefix` ends with the field's type byte.
  absl::StatusOr<Vids> Numbers(const KeyRange& range);
  // Whether no vid has two numbers in the field: then an intersection of ranges is that of their vids.
  absl::StatusOr<bool> OneNumberAVid(const std::string& prefix);

  // Rows that were committed. Before a search may see their vids.
  void Add(absl::Span<const std::string> keys);
  // So many vids were removed, so many live on: what holds too many dead bits is dropped.
  void NoteRemoved(uint64_t removed, uint64_t live);
  uint64_t bytes() const;
  bool empty() const;

 private:
  struct Entry {
    KeyRange range;
    Vids vids;                                   // null while it is read
    std::shared_ptr<const NumberColumn> column;  // instead, of numbers
    std::vector<uint64_t> added;                 // told of since
    std::vector<NumberRow> added_numbers;        // likewise, to a column
    bool two_added = false;                      // a vid with two numbers among them
    bool failed = false, kept = true;            // kept: in the maps
    uint64_t bytes = 0, used = 0;
  };
  using SharedEntry = std::shared_ptr<Entry>;
  using Entries = absl::flat_hash_map<std::string, SharedEntry>;
  using Read = std::function<absl::Status(Entry*)>;

  // The entry of a name, read if it is new; waits if another thread reads it.
  absl::StatusOr<SharedEntry> Find(Entries* entries, const std::string& name, const KeyRange& range, const Read& read)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status ReadRows(Entry* entry) const;
  absl::Status ReadColumn(Entry* entry) const;
  // The column with all that was added, but for `recent`, which are few.
  absl::StatusOr<std::shared_ptr<const NumberColumn>> Column(const std::string& prefix, std::vector<NumberRow>* recent,
                                                             bool* one_a_vid);
  void Account(Entry* entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Evict(uint64_t down_to) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const storage::Store& store_;
  const uint64_t max_bytes_;
  mutable absl::Mutex mutex_;
  // By value (a key without its vid), by range (begin and end), and columns by prefix.
  Entries values_ ABSL_GUARDED_BY(mutex_), ranges_ ABSL_GUARDED_BY(mutex_), columns_ ABSL_GUARDED_BY(mutex_);
  uint64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0, clock_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t removed_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace larder

#endif  // LARDER_ENGINE_POSTING_CACHE_H_
