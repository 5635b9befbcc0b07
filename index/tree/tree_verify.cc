// TreeIndex::Verify.
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "index/tree/posting.h"
#include "index/tree/tree_index.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

constexpr Vid kNone = ~Vid{0};
constexpr size_t kReadAtOnce = 64;

}  // namespace

// Of a tree that nobody else has.
class TreeVerify {
 public:
  TreeVerify(TreeIndex* index, std::vector<std::string>* problems) : index_(*index), problems_(*problems) {}

  uint64_t Run() {
    absl::ReaderMutexLock lock(&index_.mutex_);
    for (const VectorGroup& group : index_.groups_) entries_.emplace_back(group.slots, kNone);
    for (const auto& [group, rows] : index_.open_groups_) {
      if (group < entries_.size()) entries_[group].assign(rows.size(), kNone);
    }
    CheckPostings();
    for (const auto& [node, delta] : index_.deltas_) {
      for (size_t i = 0; i < delta.sequences.size(); ++i) {
        NoteEntry(absl::StrCat("delta of node ", node), PlaceOfRow(index_.code_, &delta.rows[i * index_.code_.row_bytes()]));
      }
    }
    CheckGroups();
    return sound_;
  }

 private:
  void Say(absl::string_view where, absl::string_view what) { problems_.push_back(absl::StrCat("tree: ", where, ": ", what)); }

  using Take = std::function<void(uint32_t number, const std::string& bytes)>;
  // Reads what many pointers name, and names what cannot be read.
  void ReadAll(absl::string_view kind, const std::vector<std::pair<uint32_t, storage::ExtentPointer>>& all, const Take& take) {
    for (size_t first = 0; first < all.size(); first += kReadAtOnce) {
      std::vector<storage::ExtentPointer> pointers;
      for (size_t i = first; i < std::min(first + kReadAtOnce, all.size()); ++i) pointers.push_back(all[i].second);
      index_.extents_->Stream(pointers, [&](size_t i, absl::StatusOr<std::string> bytes) {
        const uint32_t number = all[first + i].first;
        if (bytes.ok()) {
          take(number, *bytes);
        } else {
          Say(absl::StrCat(kind, number), bytes.status().message());
        }
        return true;
      });
    }
  }

  void CheckPostings() ABSL_SHARED_LOCKS_REQUIRED(index_.mutex_) {
    std::vector<std::pair<uint32_t, storage::ExtentPointer>> all;
    for (uint32_t node = 0; node < index_.postings_.size(); ++node) {
      if (index_.postings_[node].count > 0) all.emplace_back(node, index_.postings_[node].pointer);
    }
    ReadAll("posting of node ", all, [&](uint32_t node, const std::string& bytes) ABSL_SHARED_LOCKS_REQUIRED(index_.mutex_) {
      const std::string where = absl::StrCat("posting of node ", node);
      const absl::StatusOr<Posting> posting = Posting::Parse(index_.code_, bytes, where);
      if (!posting.ok()) return Say(where, posting.status().message());
      if (posting->entries() != index_.postings_[node].count || posting->anchor() != index_.nodes_.anchor(node)) {
        return Say(where, absl::StrCat(posting->entries(), " entries against anchor ", posting->anchor(), ", expected ",
                                       index_.postings_[node].count, " and ", index_.nodes_.anchor(node)));
      }
      for (size_t i = 0; i < posting->entries(); ++i) NoteEntry(where, posting->place(i));
    });
  }

  void NoteEntry(absl::string_view where, const EntryPlace& place) ABSL_SHARED_LOCKS_REQUIRED(index_.mutex_) {
    if (index_.removed_.Contains(place.vid)) return;
    const auto what = [&] { return absl::StrCat("vid ", place.vid, " in group ", place.group, ", slot ", place.slot); };
    if (place.group >= entries_.size() || place.slot >= entries_[place.group].size()) {
      return Say(where, absl::StrCat(what(), ", which there is not"));
    }
    Vid& entry = entries_[place.group][place.slot];
    if (entry != kNone && entry != place.vid) return Say(where, absl::StrCat(what(), ", where vid ", entry, " is too"));
    entry = place.vid;
  }

  void CheckGroups() ABSL_SHARED_LOCKS_REQUIRED(index_.mutex_) {
    std::vector<std::pair<uint32_t, storage::ExtentPointer>> all;
    for (uint32_t group = 0; group < index_.groups_.size(); ++group) {
      if (index_.groups_[group].rows > 0) all.emplace_back(group, index_.groups_[group].pointer);
    }
    std::vector<float> vector(index_.header_.options.dimension);
    ReadAll("group ", all, [&](uint32_t group, const std::string& bytes) ABSL_SHARED_LOCKS_REQUIRED(index_.mutex_) {
      const std::vector<uint32_t> slots = index_.groups_[group].Slots();
      for (uint32_t i = 0; i < slots.size(); ++i) {
        CheckRow(group, slots[i], index_.pages_.DecodeRow(index_.pages_.RowOfGroup(bytes, i), vector.data()));
      }
    });
    for (const auto& [group, rows] : index_.open_groups_) {
      for (uint32_t slot = 0; slot < rows.size(); ++slot) {
        CheckRow(group, slot, index_.pages_.DecodeRow(reinterpret_cast<const uint8_t*>(rows[slot].data()), vector.data()));
      }
    }
    for (uint32_t group = 0; group < entries_.size(); ++group) {
      for (uint32_t slot = 0; slot < entries_[group].size(); ++slot) {
        if (entries_[group][slot] != kNone) Say(absl::StrCat("group ", group), absl::StrCat("slot ", slot, " has no row of vid ", entries_[group][slot]));
      }
    }
  }

  void CheckRow(uint32_t group, uint32_t slot, Vid vid) ABSL_SHARED_LOCKS_REQUIRED(index_.mutex_) {
    const Vid entry = std::exchange(entries_[group][slot], kNone);
    const std::string where = absl::StrCat("group ", group, ", slot ", slot);
    if (entry == vid) {
      ++sound_;
    } else if (entry != kNone) {
      Say(where, absl::StrCat("vid ", vid, ", where an entry expects ", entry));
    } else if (!index_.removed_.Contains(vid)) {
      Say(where, absl::StrCat("vid ", vid, " has no entry"));
    }
  }

  TreeIndex& index_;
  std::vector<std::string>& problems_;
  std::vector<std::vector<Vid>> entries_;  // by group and slot: what entries say, until the row is found
  uint64_t sound_ = 0;
};

absl::StatusOr<uint64_t> TreeIndex::Verify(std::vector<std::string>* problems) {
  absl::MutexLock maintain(&maintain_mutex_);  // extents stay where they are
  absl::StatusOr<std::unique_ptr<TreeIndex>> fresh;
  {
    absl::MutexLock commit(&commit_mutex_);  // and rows what they are
    fresh = Open(store_, extents_, header_.options.space);
  }
  if (absl::IsDataLoss(fresh.status())) {
    problems->push_back(std::string(fresh.status().message()));
    return 0;
  }
  RETURN_IF_ERROR(fresh.status());
  return TreeVerify(fresh->get(), problems).Run();
}

}  // namespace larder::index
