#include "engine/posting_cache.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/keys.h"
#include "storage/coding.h"
#include "storage/status_macros.h"

namespace larder {

using index::VidSet;

namespace {

constexpr size_t kVidBytes = 8, kNumberBytes = 10;
constexpr uint64_t kEntryBytes = 256;    // of the maps and strings of an entry
constexpr size_t kMostRanges = 256;      // a write is held against each of them
constexpr char kBetween[] = "..";        // begin and end of a range's name: its field is in both
constexpr size_t kLeastMerged = 4096;    // numbers told of; fewer are searched one by one

absl::string_view WithoutVid(absl::string_view key) { return key.substr(0, key.size() - kVidBytes); }

NumberRow RowOfKey(absl::string_view key, size_t prefix_bytes) {
  return MakeNumberRow(key.substr(prefix_bytes, kNumberBytes), VidOfKey(key));
}

NumberRow Bound(const std::string& key, const std::string& prefix) {
  if (!absl::StartsWith(key, prefix)) return {~uint64_t{0}, ~uint64_t{0}};  // behind the field
  return MakeNumberRow(absl::string_view(key).substr(prefix.size()), 0);
}

}  // namespace

absl::Status PostingCache::ReadRows(Entry* entry) const {
  auto vids = std::make_shared<VidSet>();
  std::vector<uint64_t> some;
  const KeyRange& range = entry->range;
  auto it = store_.NewIterator(storage::Table::kFields, range.prefix);
  for (it->Seek(range.begin); it->Valid() && range.Holds(it->key()); it->Next()) {
    if (it->key().size() < range.prefix.size() + kVidBytes) return absl::DataLossError("kFields: a key is too short");
    some.push_back(VidOfKey(it->key()));
    if (some.size() < 4096) continue;
    vids->AddMany(some);
    some.clear();
  }
  RETURN_IF_ERROR(it->status());
  vids->AddMany(some);
  entry->vids = std::move(vids);
  return absl::OkStatus();
}

absl::Status PostingCache::ReadColumn(Entry* entry) const {
  std::vector<NumberRow> rows;
  const std::string& prefix = entry->range.prefix;
  auto it = store_.NewIterator(storage::Table::kFields, prefix);
  for (; it->Valid(); it->Next()) {
    if (it->key().size() != prefix.size() + kNumberBytes + kVidBytes) {
      return absl::DataLossError("kFields: a number's key is malformed");
    }
    rows.push_back(RowOfKey(it->key(), prefix.size()));
  }
  RETURN_IF_ERROR(it->status());
  entry->column = std::make_shared<NumberColumn>(std::move(rows));
  return absl::OkStatus();
}

absl::StatusOr<PostingCache::SharedEntry> PostingCache::Find(Entries* entries, const std::string& name,
                                                             const KeyRange& range, const Read& read) {
  const auto ready = [](Entry* entry) { return entry->failed || entry->vids != nullptr || entry->column != nullptr; };
  if (const auto it = entries->find(name); it != entries->end()) {
    const SharedEntry entry = it->second;
    entry->used = ++clock_;
    if (!ready(entry.get())) mutex_.Await(absl::Condition(+ready, entry.get()));
    if (!entry->failed) return entry;
    return absl::UnavailableError("kFields: another search failed to read them");
  }
  auto entry = std::make_shared<Entry>();
  entry->range = range;
  entry->used = ++clock_;
  entries->emplace(name, entry);
  Entry fresh;
  fresh.range = range;
  mutex_.Unlock();
  const absl::Status status = read(&fresh);
  mutex_.Lock();
  if (!status.ok()) {
    entry->failed = true;
    bytes_ -= entry->bytes;
    entries->erase(name);
    return status;
  }
  entry->vids = std::move(fresh.vids);
  entry->column = std::move(fresh.column);
  Account(entry.get());
  if (bytes_ > max_bytes_) Evict(max_bytes_ - max_bytes_ / 8);
  return entry;
}

absl::StatusOr<PostingCache::Vids> PostingCache::Rows(const KeyRange& range) {
  absl::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(const SharedEntry entry,
                   Find(range.one_value ? &values_ : &ranges_,
                        range.one_value ? range.begin : absl::StrCat(range.begin, kBetween, range.end), range,
                        [this](Entry* fresh) { return ReadRows(fresh); }));
  if (ranges_.size() > kMostRanges) Evict(bytes_ / 2);
  if (entry->added.empty()) return entry->vids;
  auto more = std::make_shared<VidSet>(*entry->vids);
  more->AddMany(entry->added);
  entry->vids = std::move(more);
  entry->added.clear();
  Account(entry.get());
  return entry->vids;
}

absl::StatusOr<std::shared_ptr<const NumberColumn>> PostingCache::Column(const std::string& prefix,
                                                                         std::vector<NumberRow>* recent,
                                                                         bool* one_a_vid) {
  absl::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(const SharedEntry entry, Find(&columns_, prefix, {prefix, prefix, storage::PrefixEnd(prefix)},
                                                 [this](Entry* fresh) { return ReadColumn(fresh); }));
  *recent = entry->added_numbers;
  if (recent->size() > std::max(kLeastMerged, entry->column->size() / 32)) {
    entry->column = std::make_shared<NumberColumn>(*entry->column, *recent);
    entry->added_numbers.clear();
    entry->two_added = false;
    recent->clear();
    Account(entry.get());
  }
  *one_a_vid = entry->column->one_a_vid() && !entry->two_added;
  return entry->column;
}

absl::StatusOr<PostingCache::Vids> PostingCache::Numbers(const KeyRange& range) {
  std::vector<NumberRow> recent;
  bool one_a_vid = false;
  ASSIGN_OR_RETURN(const auto column, Column(range.prefix, &recent, &one_a_vid));
  const NumberRow begin = Bound(range.begin, range.prefix), end = Bound(range.end, range.prefix);
  auto vids = std::make_shared<VidSet>(column->Window(begin, end));
  std::vector<uint64_t> more;
  for (const NumberRow& row : recent) {
    if (row >= begin && row < end) more.push_back(row.vid());
  }
  vids->AddMany(more);
  return vids;
}

absl::StatusOr<bool> PostingCache::OneNumberAVid(const std::string& prefix) {
  std::vector<NumberRow> recent;
  bool one_a_vid = false;
  RETURN_IF_ERROR(Column(prefix, &recent, &one_a_vid).status());
  return one_a_vid;
}

void PostingCache::Add(absl::Span<const std::string> keys) {
  absl::MutexLock lock(&mutex_);
  absl::flat_hash_set<std::pair<const Entry*, uint64_t>> numbers;
  const auto account = [&](Entry* entry, uint64_t bytes) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    entry->bytes += bytes;
    bytes_ += bytes;
  };
  const auto note = [&](Entry* entry, const std::string& key) {
    entry->added.push_back(VidOfKey(key));
    account(entry, sizeof(uint64_t));
  };
  for (const std::string& key : keys) {
    if (const auto it = values_.find(WithoutVid(key)); it != values_.end()) note(it->second.get(), key);
    for (const auto& [name, entry] : ranges_) {
      if (entry->range.Holds(key)) note(entry.get(), key);
    }
    if (key.size() < kNumberBytes + kVidBytes) continue;
    const auto it = columns_.find(absl::string_view(key).substr(0, key.size() - kNumberBytes - kVidBytes));
    if (it == columns_.end()) continue;
    it->second->added_numbers.push_back(RowOfKey(key, it->first.size()));
    account(it->second.get(), sizeof(NumberRow));
    it->second->two_added |= !numbers.insert({it->second.get(), VidOfKey(key)}).second;
  }
  if (bytes_ > max_bytes_) Evict(max_bytes_ - max_bytes_ / 8);
}

void PostingCache::NoteRemoved(uint64_t removed, uint64_t live) {
  absl::MutexLock lock(&mutex_);
  removed_ += removed;
  if (removed_ < 1024 || removed_ < live / 4) return;
  removed_ = 0;
  Evict(0);
}

void PostingCache::Account(Entry* entry) {
  if (!entry->kept) return;
  bytes_ -= entry->bytes;
  entry->bytes = kEntryBytes + entry->added.size() * sizeof(uint64_t) + entry->added_numbers.size() * sizeof(NumberRow) +
                 (entry->column != nullptr ? entry->column->bytes() : entry->vids->bytes());
  bytes_ += entry->bytes;
}

// The least recently used first; not those that are being read.
void PostingCache::Evict(uint64_t down_to) {
  struct Place {
    uint64_t used;
    Entries* entries;
    std::string name;
  };
  std::vector<Place> places;
  for (Entries* entries : {&values_, &ranges_, &columns_}) {
    for (const auto& [name, entry] : *entries) {
      if (entry->vids != nullptr || entry->column != nullptr) places.push_back({entry->used, entries, name});
    }
  }
  std::sort(places.begin(), places.end(), [](const Place& a, const Place& b) { return a.used < b.used; });
  for (const Place& place : places) {
    if (bytes_ <= down_to) return;
    const auto it = place.entries->find(place.name);
    bytes_ -= it->second->bytes;
    it->second->kept = false;
    place.entries->erase(it);
  }
}

bool PostingCache::empty() const {
  absl::MutexLock lock(&mutex_);
  return values_.empty() && ranges_.empty() && columns_.empty();
}

uint64_t PostingCache::bytes() const {
  absl::MutexLock lock(&mutex_);
  return bytes_;
}

}  // namespace larder
