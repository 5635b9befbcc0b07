#include "engine/verify.h"

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "engine/keys.h"
#include "engine/metadata_index.h"
#include "storage/status_macros.h"

namespace larder {

using storage::Table;

RecordVerifier::RecordVerifier(const storage::Store& store, const storage::Snapshot& snapshot,
                               std::vector<std::string>* problems)
    : store_(store),
      snapshot_(snapshot),
      problems_(problems),
      last_document_(absl::NotFoundError("none read yet")) {}

void RecordVerifier::Problem(const std::string& what) {
  problems_->push_back(absl::StrCat("collection \"", collection_->name, "\": ", what));
}

bool RecordVerifier::Has(Table table, const std::string& key) const {
  return store_.Get(table, key, &snapshot_).ok();
}

absl::Status RecordVerifier::Check(const CollectionRecord& collection, RecordCounts* counts) {
  collection_ = &collection;
  prefix_ = CollectionPrefix(collection.id);
  expected_ = Expected();
  last_key_.clear();
  RETURN_IF_ERROR(CheckDocuments(counts));
  RETURN_IF_ERROR(CheckChunks(counts));
  RETURN_IF_ERROR(CheckVectors());
  RETURN_IF_ERROR(CheckCounted(Table::kSources, expected_.sources));
  RETURN_IF_ERROR(CheckCounted(Table::kExpiry, expected_.expiries));
  RETURN_IF_ERROR(CheckCounted(Table::kFields, expected_.fields));
  return CheckTombstones();
}

absl::Status RecordVerifier::CheckDocuments(RecordCounts* counts) {
  auto it = store_.NewIterator(Table::kDocuments, prefix_, &snapshot_);
  for (; it->Valid(); it->Next()) {
    ++counts->documents;
    absl::string_view rest = it->key();
    rest.remove_prefix(prefix_.size());
    const auto tenant = storage::ReadKeyString(&rest);
    const auto id = tenant.ok() ? storage::ReadKeyString(&rest) : tenant;
    if (!id.ok()) {
      Problem(absl::StrCat("a document's key: ", id.status().message()));
      continue;
    }
    const auto value = it->value();
    if (!value.ok()) continue;  // Store::Verify names it
    const auto record = DecodeDocument(*value, absl::StrCat("document \"", *id, "\""));
    if (record.ok()) {
      CheckDocument(it->key(), *tenant, *id, *record);
    } else {
      Problem(std::string(record.status().message()));
    }
  }
  return it->status();
}

void RecordVerifier::CheckDocument(absl::string_view key, absl::string_view tenant, absl::string_view id,
                                   const DocumentRecord& record) {
  for (uint64_t vid : record.vids) {
    if (expected_.listed.Contains(vid)) Problem(absl::StrCat("vid ", vid, " is listed by two documents"));
    expected_.listed.Add(vid);
  }
  if (record.text_bytes > 0) {
    ++expected_.sources;
    const auto text = store_.Get(Table::kSources, std::string(key), &snapshot_);
    const uint64_t found = text.ok() ? text->size() : 0;
    if (found != record.text_bytes) {
      Problem(absl::StrCat("document \"", id, "\": text of ", found, " bytes, expected ", record.text_bytes));
    }
  }
  if (record.expires_at_ms > 0) {
    ++expected_.expiries;
    if (!Has(Table::kExpiry, ExpiryKey(collection_->id, record.expires_at_ms, tenant, id))) {
      Problem(absl::StrCat("document \"", id, "\": its expiry row is missing"));
    }
  }
}

absl::Status RecordVerifier::CheckChunks(RecordCounts* counts) {
  auto it = store_.NewIterator(Table::kChunks, prefix_, &snapshot_);
  for (; it->Valid(); it->Next()) {
    ++counts->chunks;
    const uint64_t vid = VidOfKey(it->key());
    expected_.chunks.Add(vid);
    const auto value = it->value();
    if (!value.ok()) continue;
    const auto chunk = DecodeChunk(*value, absl::StrCat("chunk of vid ", vid));
    if (chunk.ok()) {
      CheckChunk(vid, *chunk);
    } else {
      Problem(std::string(chunk.status().message()));
    }
  }
  index::VidSet missing = expected_.listed;
  missing -= expected_.chunks;
  missing.ForEach([&](uint64_t vid) {
    Problem(absl::StrCat("vid ", vid, ": listed by a document, but there is no chunk"));
    return true;
  });
  return it->status();
}

void RecordVerifier::CheckChunk(uint64_t vid, const ChunkRecord& chunk) {
  const std::string key = DocumentKey(collection_->id, chunk.tenant, chunk.document_id);
  if (key != last_key_) {
    last_key_ = key;
    const auto bytes = store_.Get(Table::kDocuments, key, &snapshot_);
    last_document_ = bytes.ok() ? DecodeDocument(*bytes, chunk.document_id) : bytes.status();
  }
  const std::string where = absl::StrCat("chunk of vid ", vid, " of document \"", chunk.document_id, "\"");
  if (!last_document_.ok()) return Problem(absl::StrCat(where, ": ", last_document_.status().message()));
  const DocumentRecord& document = *last_document_;
  if (chunk.ordinal >= document.vids.size() || document.vids[chunk.ordinal] != vid) {
    return Problem(absl::StrCat(where, ": the document does not list it as chunk ", chunk.ordinal));
  }
  const Metadata merged = MergeMetadata(document.metadata, chunk.metadata);
  // A list may hold one value twice, which is one row.
  const std::vector<std::string> fields = FieldKeys(collection_->id, chunk.tenant, merged, vid);
  const absl::flat_hash_set<std::string> rows(fields.begin(), fields.end());
  expected_.fields += rows.size();
  for (const std::string& row : rows) {
    if (!Has(Table::kFields, row)) Problem(absl::StrCat(where, ": a row of the metadata index is missing"));
  }
}

absl::Status RecordVerifier::CheckVectors() {
  for (uint16_t s = 0; s < collection_->options.spaces.size(); ++s) {
    const VectorSpaceOptions& space = collection_->options.spaces[s];
    index::VidSet unseen = expected_.chunks;
    auto it = store_.NewIterator(Table::kVectors, SpacePrefix(collection_->id, s), &snapshot_);
    for (; it->Valid(); it->Next()) {
      const uint64_t vid = VidOfKey(it->key());
      const std::string where = absl::StrCat("space \"", space.name, "\", vid ", vid);
      if (!unseen.Contains(vid)) Problem(absl::StrCat(where, ": a vector without a chunk"));
      unseen.Remove(vid);
      const auto value = it->value();
      if (!value.ok()) continue;
      const auto row = DecodeVector(*value, space.dimension, where);
      if (!row.ok()) Problem(std::string(row.status().message()));
    }
    RETURN_IF_ERROR(it->status());
    unseen.ForEach([&](uint64_t vid) {
      Problem(absl::StrCat("space \"", space.name, "\", vid ", vid, ": the chunk has no vector"));
      return true;
    });
  }
  return absl::OkStatus();
}

// Every expected row was found by its owner; as many rows as expected means none stands alone.
absl::Status RecordVerifier::CheckCounted(Table table, uint64_t expected) {
  uint64_t found = 0;
  auto it = store_.NewIterator(table, prefix_, &snapshot_);
  for (; it->Valid(); it->Next()) ++found;
  if (found != expected) {
    Problem(absl::StrCat(storage::TableName(table), ": ", found, " rows, expected ", expected));
  }
  return it->status();
}

absl::Status RecordVerifier::CheckTombstones() {
  auto it = store_.NewIterator(Table::kTombstones, prefix_, &snapshot_);
  for (; it->Valid(); it->Next()) {
    const uint64_t vid = VidOfKey(it->key());
    if (expected_.chunks.Contains(vid)) Problem(absl::StrCat("vid ", vid, " is both alive and deleted"));
  }
  return it->status();
}

}  // namespace larder
