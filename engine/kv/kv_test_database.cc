#include "engine/kv/kv_test_database.h"

#include <fstream>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/kv/kv_entry.h"
#include "engine/kv/kv_keys.h"
#include "storage/coding.h"
#include "storage/extent_format.h"
#include "storage/status_macros.h"

namespace larder::kv {
namespace {

using storage::Table;

// Chunks are rows of Table::kDocuments here: tenant and document id -> vid.
std::string ChunkKey(absl::string_view tenant, absl::string_view document_id) {
  std::string key;
  storage::AppendKeyString(tenant, &key);
  storage::AppendKeyString(document_id, &key);
  return key;
}

std::string DocumentId(uint64_t vid) { return absl::StrCat("d", vid); }

template <typename T>
T Must(absl::StatusOr<T> value) {
  if (!value.ok()) {
    std::fprintf(stderr, "%s\n", value.status().ToString().c_str());
    std::abort();
  }
  return *std::move(value);
}

}  // namespace

KvProfile SmallProfile() {
  KvProfile profile;
  profile.model = "small";
  profile.model_revision = "r1";
  profile.weights_sha256 = std::string(64, 'f');
  profile.tokenizer = "bpe";
  profile.layers = 3;
  profile.kv_heads = 2;
  profile.head_dim = 8;
  return profile;
}

std::vector<int32_t> Tokens(int seed, size_t count) {
  std::mt19937 random(seed);
  std::vector<int32_t> tokens(count);
  for (int32_t& token : tokens) token = static_cast<int32_t>(random() % 49'152);
  return tokens;
}

std::string Payload(uint64_t bytes, int seed, uint32_t layer, bool is_v) {
  std::mt19937_64 random((static_cast<uint64_t>(seed) << 12 | layer) * 2 + (is_v ? 1 : 0));
  std::string payload(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i) payload[i] = static_cast<char>(random());
  return payload;
}

TestDatabase::TestDatabase(uint64_t extent_file_bytes, uint64_t pool_bytes, const KvOptions& options)
    : extent_file_bytes_(extent_file_bytes), pool_bytes_(pool_bytes), options_(options) {
  Open();
  profile_id_ = Must(kv().RegisterProfile(SmallProfile()));
}

void TestDatabase::Open() {
  const std::string path = directory_.path(name_);
  store_ = Must(storage::Store::Open(path, {.create_if_missing = true}));
  extents_ =
      Must(storage::ExtentStore::Open(path + "/extents", store_.get(), {.file_bytes = extent_file_bytes_}));
  const auto resolve = [this](absl::string_view tenant, const KvOwner& owner) -> absl::StatusOr<ChunkRef> {
    ASSIGN_OR_RETURN(const std::string vid,
                     store_->Get(Table::kDocuments, ChunkKey(tenant, owner.document_id)));
    return ChunkRef{kCollection, storage::ReadKey64(vid.data())};
  };
  const auto clock = [this] {
    return absl::FromUnixSeconds(1'700'000'000) + absl::Milliseconds(offset_ms_.load());
  };
  std::shared_ptr<KvPool> pool;
  if (pool_bytes_ > 0) {
    pool = Must(KvPool::Create({.bytes = pool_bytes_, .clock = clock}));
  }
  kv_ = std::make_unique<KvCache>(
      std::make_unique<KvCacheImpl>(store_.get(), extents_.get(), clock, resolve, std::move(pool), options_));
}

void TestDatabase::Close() {
  kv_.reset();
  extents_.reset();
  store_.reset();
}

void TestDatabase::Reopen() {
  Close();
  Open();
}

void TestDatabase::AwaitFilled() {
  while (!Must(kv().Stats()).directory_filled) absl::SleepFor(absl::Milliseconds(1));
}

void TestDatabase::CrashAndReopen() {
  const std::string image = name_ + "x";
  directory_.Copy(name_, image);
  Close();
  name_ = image;
  Open();
}

void TestDatabase::Damage(const storage::ExtentPointer& pointer) {
  const std::string path = directory_.path(name_ + "/extents/" + storage::ExtentFileName(pointer.file));
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(pointer.offset));
  const char byte = static_cast<char>(file.get() ^ 0x10);
  file.seekp(static_cast<std::streamoff>(pointer.offset));
  file.put(byte);
}

KvOwner TestDatabase::AddChunk(uint64_t vid, absl::string_view tenant) {
  std::string value;
  storage::AppendKey64(vid, &value);
  storage::WriteBatch batch;
  batch.Put(Table::kDocuments, ChunkKey(tenant, DocumentId(vid)), value);
  Must(store_->Write(std::move(batch), /*sync=*/false));
  return {.collection = "docs", .document_id = DocumentId(vid), .ordinal = 0};
}

absl::Status TestDatabase::DeleteChunks(absl::Span<const uint64_t> vids, absl::string_view tenant) {
  storage::WriteBatch batch;
  for (const uint64_t vid : vids) batch.Delete(Table::kDocuments, ChunkKey(tenant, DocumentId(vid)));
  ASSIGN_OR_RETURN(const KvDropGuard guard, impl().DropChunks(kCollection, vids, &batch));
  return store_->Write(std::move(batch)).status();
}

bool TestDatabase::HasChunk(uint64_t vid, absl::string_view tenant) const {
  return store_->Get(Table::kDocuments, ChunkKey(tenant, DocumentId(vid))).ok();
}

KvKey TestDatabase::Key(int seed, absl::string_view tenant) const {
  return {std::string(tenant), profile_id_, Tokens(seed)};
}

absl::Status TestDatabase::PutLayers(KvPutHandle handle, const KvKey& key, int seed) {
  const KvProfile profile = Must(kv().GetProfile(key.profile_id));
  const uint64_t bytes = profile.LayerBytes(key.tokens.size());
  for (uint32_t layer = 0; layer < profile.layers; ++layer) {
    RETURN_IF_ERROR(
        kv().PutLayer(handle, layer, Payload(bytes, seed, layer, false), Payload(bytes, seed, layer, true)));
  }
  return absl::OkStatus();
}

absl::Status TestDatabase::Put(const KvKey& key, int seed, const std::vector<KvOwner>& owners) {
  ASSIGN_OR_RETURN(const KvPutHandle handle, kv().PutBegin({key, owners}));
  RETURN_IF_ERROR(PutLayers(handle, key, seed));
  return kv().PutCommit(handle);
}

bool TestDatabase::Hit(const KvKey& key) { return Must(kv().Lookup({&key, 1}))[0].hit; }

std::string TestDatabase::Difference(const KvKey& key, int seed) {
  const KvProfile profile = Must(kv().GetProfile(key.profile_id));
  const auto layers = kv().Get(key);
  if (!layers.ok()) return layers.status().ToString();
  if (layers->size() != profile.layers) return absl::StrCat(layers->size(), " layers");
  const uint64_t bytes = profile.LayerBytes(key.tokens.size());
  for (uint32_t i = 0; i < profile.layers; ++i) {
    if ((*layers)[i].layer != i) return absl::StrCat("layer ", i, " is numbered ", (*layers)[i].layer);
    if ((*layers)[i].k != Payload(bytes, seed, i, false)) return absl::StrCat("layer ", i, " K");
    if ((*layers)[i].v != Payload(bytes, seed, i, true)) return absl::StrCat("layer ", i, " V");
  }
  return "";
}

absl::StatusOr<Entry> TestDatabase::Record(const KvKey& key) const {
  ASSIGN_OR_RETURN(const std::string entry_key, EntryKey(key));
  ASSIGN_OR_RETURN(const std::string record, store_->Get(Table::kKvEntries, entry_key));
  return DecodeEntry(record, "entry");
}

int64_t TestDatabase::Count(storage::Counter counter) const {
  return store_->state().counters[static_cast<int>(counter)];
}

std::vector<std::string> TestDatabase::Problems() {
  std::vector<std::string> problems;
  const auto snapshot = store_->GetSnapshot();
  // Chunks are found by scanning: the table is keyed by document.
  const auto exists = [&](const ChunkRef& chunk) -> absl::StatusOr<bool> {
    const auto it = store_->NewIterator(Table::kDocuments, "", snapshot.get());
    for (; it->Valid(); it->Next()) {
      ASSIGN_OR_RETURN(const absl::string_view vid, it->value());
      if (storage::ReadKey64(vid.data()) == chunk.vid) return true;
    }
    return false;
  };
  Must(impl().Verify(snapshot.get(), exists, &problems));
  Must(extents_->Verify(&problems));
  Must(store_->Verify([](Table, absl::string_view, absl::string_view) {}, &problems));
  return problems;
}

}  // namespace larder::kv
