#include "index/vid_set.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <exception>
#include <limits>
#include <map>
#include <roaring/containers/containers.h>
#include <roaring/roaring.hh>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "index/roaring_check.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

static_assert(std::endian::native == std::endian::little, "the serialised form is little endian");

uint32_t High(uint64_t vid) { return static_cast<uint32_t>(vid >> 32); }
uint32_t Low(uint64_t vid) { return static_cast<uint32_t>(vid); }

struct Visit {
  const std::function<bool(uint64_t)>* visit;
  uint64_t high;
};
bool VisitOne(uint32_t low, void* visit) {
  const Visit& v = *static_cast<Visit*>(visit);
  return (*v.visit)(v.high | low);
}

}  // namespace

// One 32-bit bitmap per high half, none empty: the layout (and the serialised form) of CRoaring's
// Roaring64Map, whose 0.2.66 has no range operations.
struct VidSet::Rep {
  std::map<uint32_t, Roaring> maps;

  void DropIfEmpty(std::map<uint32_t, Roaring>::iterator* it) {
    *it = (*it)->second.isEmpty() ? maps.erase(*it) : std::next(*it);
  }
};

VidSet::VidSet() : rep_(std::make_unique<Rep>()) {}
VidSet::~VidSet() = default;
VidSet::VidSet(const VidSet& other) : rep_(std::make_unique<Rep>(*other.rep_)) {}
VidSet& VidSet::operator=(const VidSet& other) {
  if (this != &other) *rep_ = *other.rep_;
  return *this;
}
// The moved-from set is empty, not broken.
VidSet::VidSet(VidSet&& other) noexcept : VidSet() { rep_.swap(other.rep_); }
VidSet& VidSet::operator=(VidSet&& other) noexcept {
  rep_.swap(other.rep_);
  return *this;
}

void VidSet::Add(uint64_t vid) { rep_->maps[High(vid)].add(Low(vid)); }

namespace {

// Many in no order are sorted through a bit each, if they lie close enough together.
bool SortThroughBits(absl::Span<const uint64_t> vids, std::vector<uint64_t>* sorted) {
  if (vids.size() < 64 || std::is_sorted(vids.begin(), vids.end())) return false;
  const auto [least, most] = std::minmax_element(vids.begin(), vids.end());
  const uint64_t first = *least / 64, words = *most / 64 - first + 1;
  if (words > 16 * vids.size()) return false;
  std::vector<uint64_t> bits(words);
  for (const uint64_t vid : vids) bits[vid / 64 - first] |= uint64_t{1} << vid % 64;
  sorted->reserve(vids.size());
  for (uint64_t w = 0; w < words; ++w) {
    for (uint64_t word = bits[w]; word != 0; word &= word - 1) {
      sorted->push_back((first + w) * 64 + static_cast<uint64_t>(std::countr_zero(word)));
    }
  }
  return true;
}

}  // namespace

void VidSet::AddMany(absl::Span<const uint64_t> vids) {
  std::vector<uint64_t> sorted;
  if (SortThroughBits(vids, &sorted)) vids = sorted;
  std::vector<uint32_t> lows;
  for (size_t first = 0; first < vids.size(); first += lows.size()) {
    const uint32_t high = High(vids[first]);
    lows.clear();
    for (size_t i = first; i < vids.size() && High(vids[i]) == high; ++i) lows.push_back(Low(vids[i]));
    rep_->maps[high].addMany(lows.size(), lows.data());
  }
}

void VidSet::AddRange(uint64_t begin, uint64_t end) {
  while (begin < end) {
    const uint64_t last = std::min(end - 1, begin | std::numeric_limits<uint32_t>::max());
    rep_->maps[High(begin)].addRange(Low(begin), uint64_t{Low(last)} + 1);
    if (last == std::numeric_limits<uint64_t>::max()) break;
    begin = last + 1;
  }
}

void VidSet::Remove(uint64_t vid) {
  auto it = rep_->maps.find(High(vid));
  if (it == rep_->maps.end()) return;
  it->second.remove(Low(vid));
  rep_->DropIfEmpty(&it);
}

bool VidSet::Contains(uint64_t vid) const {
  const auto it = rep_->maps.find(High(vid));
  return it != rep_->maps.end() && it->second.contains(Low(vid));
}

uint64_t VidSet::size() const {
  uint64_t size = 0;
  for (const auto& [high, map] : rep_->maps) size += map.cardinality();
  return size;
}

uint64_t VidSet::bytes() const {
  constexpr uint64_t kMapNode = 4 * sizeof(void*) + sizeof(std::pair<const uint32_t, Roaring>);
  uint64_t bytes = sizeof(*this) + sizeof(Rep);
  for (const auto& [high, map] : rep_->maps) bytes += kMapNode + map.getSizeInBytes();
  return bytes;
}

VidSet& VidSet::operator&=(const VidSet& other) {
  if (this == &other) return *this;
  for (auto it = rep_->maps.begin(); it != rep_->maps.end();) {
    const auto found = other.rep_->maps.find(it->first);
    it->second = found == other.rep_->maps.end() ? Roaring() : it->second & found->second;
    rep_->DropIfEmpty(&it);
  }
  return *this;
}

VidSet& VidSet::operator|=(const VidSet& other) {
  if (this == &other) return *this;
  for (const auto& [high, map] : other.rep_->maps) rep_->maps[high] |= map;
  return *this;
}

VidSet& VidSet::operator-=(const VidSet& other) {
  if (this == &other) {
    rep_->maps.clear();
    return *this;
  }
  for (auto it = rep_->maps.begin(); it != rep_->maps.end();) {
    const auto found = other.rep_->maps.find(it->first);
    if (found != other.rep_->maps.end()) it->second -= found->second;
    rep_->DropIfEmpty(&it);
  }
  return *this;
}

bool VidSet::Equals(const VidSet& other) const { return rep_->maps == other.rep_->maps; }

void VidSet::ForEach(const std::function<bool(uint64_t)>& visit) const {
  for (const auto& [high, map] : rep_->maps) {
    Visit state{&visit, uint64_t{high} << 32};
    if (!roaring_iterate(&map.roaring, &VisitOne, &state)) return;
  }
}

namespace {

// Joins what comes in ascending order into words.
class WordJoiner {
 public:
  explicit WordJoiner(absl::FunctionRef<void(uint64_t, uint64_t)> visit) : visit_(visit) {}
  void Add(uint64_t vid) {
    if (vid / 64 * 64 != first_) Flush(vid / 64 * 64);
    bits_ |= uint64_t{1} << vid % 64;
  }
  void Flush(uint64_t next = 0) {
    if (bits_ != 0) visit_(first_, bits_);
    first_ = next;
    bits_ = 0;
  }

 private:
  absl::FunctionRef<void(uint64_t, uint64_t)> visit_;
  uint64_t first_ = 0, bits_ = 0;
};

void VisitRuns(const run_container_t& runs, uint64_t base, WordJoiner* joiner,
               absl::FunctionRef<void(uint64_t, uint64_t)> visit) {
  for (int i = 0; i < runs.n_runs; ++i) {
    uint64_t vid = base + runs.runs[i].value;
    const uint64_t end = vid + runs.runs[i].length + 1;
    while (vid < end) {
      if (vid % 64 != 0 || end - vid < 64) {
        joiner->Add(vid++);
        continue;
      }
      joiner->Flush();
      visit(vid, ~uint64_t{0});
      vid += 64;
    }
  }
}

}  // namespace

// Reads the containers themselves: bitsets, which hold most of a large set, are words already.
void VidSet::ForEachWord(absl::FunctionRef<void(uint64_t, uint64_t)> visit) const {
  WordJoiner joiner(visit);
  for (const auto& [high, map] : rep_->maps) {
    const roaring_array_t& array = map.roaring.high_low_container;
    for (int c = 0; c < array.size; ++c) {
      const uint64_t base = uint64_t{high} << 32 | uint64_t{array.keys[c]} << 16;
      uint8_t type = array.typecodes[c];
      const void* container = container_unwrap_shared(array.containers[c], &type);
      if (type == BITSET_CONTAINER_TYPE_CODE) {
        const uint64_t* words = static_cast<const bitset_container_t*>(container)->array;
        for (uint64_t w = 0; w < BITSET_CONTAINER_SIZE_IN_WORDS; ++w) {
          if (words[w] != 0) visit(base + 64 * w, words[w]);
        }
      } else if (type == ARRAY_CONTAINER_TYPE_CODE) {
        const auto& values = *static_cast<const array_container_t*>(container);
        for (int i = 0; i < values.cardinality; ++i) joiner.Add(base + values.array[i]);
      } else {
        VisitRuns(*static_cast<const run_container_t*>(container), base, &joiner, visit);
      }
      joiner.Flush();
    }
  }
}

// u64 number of bitmaps, then for each u32 high half and the bitmap in roaring's portable format.
std::string VidSet::Serialize() const {
  size_t size = sizeof(uint64_t);
  for (const auto& [high, map] : rep_->maps) size += sizeof(uint32_t) + map.getSizeInBytes();
  std::string out(size, '\0');
  char* position = out.data();
  const uint64_t count = rep_->maps.size();
  std::memcpy(position, &count, sizeof(count));
  position += sizeof(count);
  for (const auto& [high, map] : rep_->maps) {
    std::memcpy(position, &high, sizeof(high));
    position += sizeof(high);
    position += map.write(position);
  }
  return out;
}

absl::StatusOr<VidSet> VidSet::Deserialize(absl::string_view bytes) {
  uint64_t count = 0;
  if (bytes.size() < sizeof(count)) {
    return absl::DataLossError(absl::StrCat("vid set: expected at least 8 bytes, found ", bytes.size()));
  }
  std::memcpy(&count, bytes.data(), sizeof(count));
  bytes.remove_prefix(sizeof(count));
  VidSet set;
  for (uint64_t i = 0; i < count; ++i) {
    uint32_t high = 0;
    if (bytes.size() < sizeof(high)) {
      return absl::DataLossError(absl::StrCat("vid set: expected ", count, " bitmaps, found ", i));
    }
    std::memcpy(&high, bytes.data(), sizeof(high));
    bytes.remove_prefix(sizeof(high));
    if (!set.rep_->maps.empty() && high <= set.rep_->maps.rbegin()->first) {
      return absl::DataLossError(absl::StrCat("vid set: high half ", high, " out of order"));
    }
    ASSIGN_OR_RETURN(const size_t length, CheckRoaring(bytes));
    try {
      Roaring map = Roaring::readSafe(bytes.data(), length);
      if (map.isEmpty()) return absl::DataLossError("vid set: an empty bitmap");
      set.rep_->maps.emplace(high, std::move(map));
    } catch (const std::exception& e) {
      return absl::DataLossError(absl::StrCat("vid set: ", e.what()));
    }
    bytes.remove_prefix(length);
  }
  if (!bytes.empty()) return absl::DataLossError(absl::StrCat("vid set: ", bytes.size(), " bytes too many"));
  return set;
}

}  // namespace larder::index
