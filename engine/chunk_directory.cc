#include "engine/chunk_directory.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "storage/coding.h"
#include "storage/crc32c.h"
#include "storage/status_macros.h"

namespace larder {

using storage::RecordReader;
using storage::RecordWriter;

namespace {
constexpr uint8_t kVersion = 1;
constexpr size_t kCrcBytes = 4;
}  // namespace

uint32_t ChunkDirectory::TenantNumber(absl::string_view tenant) {
  const auto [it, added] = tenant_numbers_.try_emplace(std::string(tenant), tenants_.size());
  if (added) tenants_.emplace_back(tenant);
  return it->second;
}

uint32_t ChunkDirectory::NewOwner(absl::string_view tenant, absl::string_view id) {
  uint32_t number = owners_.size();
  if (free_owners_.empty()) {
    owners_.emplace_back();
  } else {
    number = free_owners_.back();
    free_owners_.pop_back();
  }
  owners_[number] = {std::string(id), TenantNumber(tenant), 0};
  if (!tenant.empty()) ++tenanted_documents_;
  return number;
}

void ChunkDirectory::PlaceChunk(uint64_t vid, uint32_t owner, uint32_t ordinal) {
  std::unique_ptr<Page>& page = pages_[vid / kPageVids];
  if (page == nullptr) page = std::make_unique<Page>();
  page->places[vid % kPageVids] = {owner, ordinal};
  ++page->live;
  ++owners_[owner].chunks;
  live_.Add(vid);
  shared_live_ = nullptr;
}

void ChunkDirectory::AddDocument(absl::string_view tenant, absl::string_view id,
                                 absl::Span<const uint64_t> vids) {
  absl::MutexLock lock(&mutex_);
  const uint32_t owner = NewOwner(tenant, id);
  for (size_t i = 0; i < vids.size(); ++i) PlaceChunk(vids[i], owner, static_cast<uint32_t>(i));
}

const ChunkDirectory::Place* ChunkDirectory::FindPlace(uint64_t vid) const {
  const auto it = pages_.find(vid / kPageVids);
  if (it == pages_.end()) return nullptr;
  const Place& place = it->second->places[vid % kPageVids];
  return place.owner == kNone ? nullptr : &place;
}

void ChunkDirectory::Remove(absl::Span<const uint64_t> vids) {
  absl::MutexLock lock(&mutex_);
  for (uint64_t vid : vids) {
    const auto it = pages_.find(vid / kPageVids);
    if (it == pages_.end()) continue;
    Place& place = it->second->places[vid % kPageVids];
    if (place.owner == kNone) continue;
    Owner& owner = owners_[place.owner];
    if (--owner.chunks == 0) {
      if (!tenants_[owner.tenant].empty()) --tenanted_documents_;
      free_owners_.push_back(place.owner);
      owner.id = std::string();
    }
    place = Place();
    if (--it->second->live == 0) pages_.erase(it);
    live_.Remove(vid);
    shared_live_ = nullptr;
  }
}

// In rounds, so that the cache misses of all hits overlap: where the chunks are, whose they are, what
// the owners are called.
void ChunkDirectory::Resolve(std::vector<Hit>* hits) const {
  absl::ReaderMutexLock lock(&mutex_);
  std::vector<const Place*> places(hits->size());
  for (size_t i = 0; i < places.size(); ++i) {
    const auto it = pages_.find((*hits)[i].vid / kPageVids);
    if (it == pages_.end()) continue;
    places[i] = &it->second->places[(*hits)[i].vid % kPageVids];
    __builtin_prefetch(places[i]);
  }
  std::vector<const Owner*> owners(hits->size());
  for (size_t i = 0; i < places.size(); ++i) {
    if (places[i] == nullptr || places[i]->owner == kNone) continue;
    owners[i] = &owners_[places[i]->owner];
    __builtin_prefetch(owners[i]);
  }
  size_t kept = 0;
  for (size_t i = 0; i < owners.size(); ++i) {
    if (owners[i] == nullptr) continue;
    if (kept != i) (*hits)[kept] = std::move((*hits)[i]);
    Hit& hit = (*hits)[kept++];
    hit.document_id = owners[i]->id;
    hit.ordinal = places[i]->ordinal;
  }
  hits->resize(kept);
}

bool ChunkDirectory::Find(uint64_t vid, ChunkPlace* place) const {
  absl::ReaderMutexLock lock(&mutex_);
  const Place* found = FindPlace(vid);
  if (found == nullptr) return false;
  const Owner& owner = owners_[found->owner];
  *place = {tenants_[owner.tenant], owner.id, found->ordinal};
  return true;
}

std::vector<std::pair<std::string, std::string>> ChunkDirectory::DocumentsOf(const index::VidSet& vids) const {
  absl::ReaderMutexLock lock(&mutex_);
  absl::flat_hash_set<uint32_t> seen;
  std::vector<std::pair<std::string, std::string>> documents;
  vids.ForEach([&](uint64_t vid) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    const Place* place = FindPlace(vid);
    if (place != nullptr && seen.insert(place->owner).second) {
      const Owner& owner = owners_[place->owner];
      documents.emplace_back(tenants_[owner.tenant], owner.id);
    }
    return true;
  });
  return documents;
}

std::shared_ptr<const index::VidSet> ChunkDirectory::live() const {
  {
    absl::ReaderMutexLock lock(&mutex_);
    if (shared_live_ != nullptr) return shared_live_;
  }
  absl::MutexLock lock(&mutex_);
  if (shared_live_ == nullptr) shared_live_ = std::make_shared<index::VidSet>(live_);
  return shared_live_;
}

uint64_t ChunkDirectory::chunks() const {
  absl::ReaderMutexLock lock(&mutex_);
  return live_.size();
}

uint64_t ChunkDirectory::documents() const {
  absl::ReaderMutexLock lock(&mutex_);
  return owners_.size() - free_owners_.size();
}

bool ChunkDirectory::has_tenants() const {
  absl::ReaderMutexLock lock(&mutex_);
  return tenanted_documents_ > 0;
}

uint64_t ChunkDirectory::resident_bytes() const {
  absl::ReaderMutexLock lock(&mutex_);
  return pages_.size() * (sizeof(Page) + 32) + owners_.size() * sizeof(Owner) + live_.bytes();
}

// Chunks in order of vid, each with its owner's number; then the owners.
std::string ChunkDirectory::Serialize(absl::string_view tag) const {
  absl::ReaderMutexLock lock(&mutex_);
  RecordWriter out(kVersion);
  out.Bytes(tag);
  out.Varint(tenants_.size());
  for (const std::string& tenant : tenants_) out.Bytes(tenant);
  out.Varint(owners_.size());
  for (const Owner& owner : owners_) {
    out.Varint(owner.chunks);
    if (owner.chunks == 0) continue;
    out.Varint(owner.tenant);
    out.Bytes(owner.id);
  }
  out.Varint(live_.size());
  uint64_t previous = 0;
  live_.ForEach([&](uint64_t vid) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    const Place* place = FindPlace(vid);
    out.Varint(vid - previous);
    out.Varint(place->owner);
    out.Varint(place->ordinal);
    previous = vid;
    return true;
  });
  std::string bytes = std::move(out).Finish();
  const uint32_t crc = storage::Crc32c(bytes);
  for (size_t i = 0; i < kCrcBytes; ++i) bytes.push_back(static_cast<char>(crc >> (8 * i)));
  return bytes;
}

void ChunkDirectory::Clear() {
  absl::MutexLock lock(&mutex_);
  pages_.clear();
  owners_.clear();
  free_owners_.clear();
  tenants_.clear();
  tenant_numbers_.clear();
  live_ = index::VidSet();
  shared_live_ = nullptr;
  tenanted_documents_ = 0;
}

absl::Status ChunkDirectory::Deserialize(absl::string_view bytes, std::string* tag) {
  if (bytes.size() < kCrcBytes) return absl::DataLossError("chunk directory: shorter than its checksum");
  const absl::string_view body = bytes.substr(0, bytes.size() - kCrcBytes);
  uint32_t expected = 0;
  for (size_t i = 0; i < kCrcBytes; ++i) {
    expected |= static_cast<uint32_t>(static_cast<uint8_t>(bytes[body.size() + i])) << (8 * i);
  }
  if (const uint32_t found = storage::Crc32c(body); found != expected) {
    return absl::DataLossError(absl::StrCat("chunk directory: crc32c ", found, ", expected ", expected));
  }
  RecordReader in(body, kVersion, "chunk directory");
  *tag = std::string(in.Bytes());
  absl::MutexLock lock(&mutex_);
  const uint64_t tenants = in.Varint();
  for (uint64_t i = 0; i < tenants && in.status().ok(); ++i) TenantNumber(in.Bytes());
  const uint64_t owners = in.Varint();
  for (uint64_t i = 0; i < owners && in.status().ok(); ++i) {
    owners_.emplace_back();
    if (in.Varint() == 0) {
      free_owners_.push_back(i);
      continue;
    }
    Owner& owner = owners_.back();
    owner.tenant = static_cast<uint32_t>(in.Varint());
    owner.id = std::string(in.Bytes());
    if (owner.tenant >= tenants_.size()) return absl::DataLossError("chunk directory: unknown tenant");
    if (!tenants_[owner.tenant].empty()) ++tenanted_documents_;
  }
  const uint64_t chunks = in.Varint();
  uint64_t vid = 0;
  for (uint64_t i = 0; i < chunks && in.status().ok(); ++i) {
    vid += in.Varint();
    const uint64_t owner = in.Varint();
    const uint64_t ordinal = in.Varint();
    if (owner >= owners_.size()) return absl::DataLossError("chunk directory: unknown document");
    PlaceChunk(vid, static_cast<uint32_t>(owner), static_cast<uint32_t>(ordinal));
  }
  return in.status();
}

}  // namespace larder
