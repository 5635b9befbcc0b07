#include "engine/kv/kv_verify.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/kv/kv_demote.h"
#include "engine/kv/kv_entry.h"
#include "engine/kv/kv_keys.h"
#include "engine/kv/kv_summary.h"
#include "storage/extent_format.h"
#include "storage/status_macros.h"

namespace larder::kv {
namespace {

using storage::ExtentPointer;
using storage::Snapshot;
using storage::Table;

class Verifier {
 public:
  Verifier(const KvContext& context, const Snapshot* snapshot, const ChunkExists& exists,
           std::vector<std::string>* problems)
      : context_(context), snapshot_(snapshot), exists_(exists), problems_(*problems) {}

  absl::StatusOr<uint64_t> Run() {
    RETURN_IF_ERROR(Scan(Table::kKvEntries, [&](auto key, auto value) { return CheckEntry(key, value); }));
    RETURN_IF_ERROR(Scan(Table::kKvOwners, [&](auto key, auto value) { return CheckOwner(key, value); }));
    RETURN_IF_ERROR(Scan(Table::kExtents, [&](auto key, auto value) { return CheckExtent(key, value); }));
    return records_;
  }

 private:
  using Check = std::function<absl::Status(absl::string_view key, absl::string_view value)>;

  template <typename... Parts>
  void Problem(const Parts&... parts) {
    problems_.push_back(absl::StrCat(parts...));
  }

  // A record that cannot be read is a problem; the scan goes on.
  absl::Status Scan(Table table, const Check& check) {
    const auto it = context_.store->NewIterator(table, "", snapshot_);
    for (; it->Valid(); it->Next()) {
      ++records_;
      const auto value = it->value();
      if (value.ok()) {
        RETURN_IF_ERROR(check(it->key(), *value));
      } else {
        Problem(value.status().message());
      }
    }
    if (!it->status().ok()) Problem(storage::TableName(table), ": ", it->status().message());
    return absl::OkStatus();
  }

  absl::Status CheckEntry(absl::string_view key, absl::string_view value) {
    const std::string name = EntryName(key);
    const auto parts = ParseEntryKey(key);
    const auto entry = DecodeEntry(value, name);
    if (!parts.ok() || !entry.ok()) {
      Problem((parts.ok() ? entry.status() : parts.status()).message());
      return absl::OkStatus();
    }
    const EntryHeader& header = entry->header;
    if (header.tenant != parts->tenant || header.profile_id != parts->profile_id) {
      Problem(name, ": its record says tenant '", absl::CHexEscape(header.tenant), "', profile ",
              absl::CHexEscape(header.profile_id));
    }
    const auto tokens = DecodeTokens(header.tokens, header.token_count);
    if (!tokens.ok()) {
      Problem(name, ": ", tokens.status().message());
    } else if (TokenHash(*tokens) != parts->token_hash) {
      Problem(name, ": its tokens hash to ", absl::BytesToHexString(TokenHash(*tokens)), ", expected ",
              absl::BytesToHexString(parts->token_hash));
    }
    const std::string context_hash = header.context.empty() ? "" : Sha256(header.context);
    if (header.variant != parts->variant || context_hash != parts->context_hash) {
      Problem(name, ": its record says variant ", static_cast<int>(header.variant), " with context ",
              absl::BytesToHexString(context_hash));
    }
    CheckLayers(name, *parts, *entry);
    for (size_t i = 0; i < entry->layers.size(); ++i) {
      RETURN_IF_ERROR(CheckPointer(key, entry->layers[i].k, absl::StrCat(name, ": layer ", i, " K")));
      RETURN_IF_ERROR(CheckPointer(key, entry->layers[i].v, absl::StrCat(name, ": layer ", i, " V")));
    }
    for (const EntrySidecar& sidecar : entry->sidecars) {
      RETURN_IF_ERROR(
          CheckPointer(key, sidecar.bytes, absl::StrCat(name, ": sidecar ", static_cast<int>(sidecar.kind))));
    }
    return absl::OkStatus();
  }

  void CheckLayers(const std::string& name, const EntryKeyParts& parts, const Entry& entry) {
    const auto profile = context_.profiles.Get(parts.profile_id);
    if (!profile.ok()) {
      Problem(name, ": ", profile.status().message());
      return;
    }
    if (!MayBeKeptAs(**profile, entry.header.codec)) {
      Problem(name, ": codec '", absl::CHexEscape(entry.header.codec), "', expected '", (*profile)->codec,
              "'");
    }
    if (entry.layers.size() != (*profile)->layers) {
      Problem(name, ": ", entry.layers.size(), " layers, expected ", (*profile)->layers);
    }
    if (entry.header.codec != "raw") return;  // the codec knows its sizes
    const uint64_t expected = (*profile)->LayerBytes(entry.header.token_count);
    for (size_t i = 0; i < entry.layers.size(); ++i) {
      const EntryLayer& layer = entry.layers[i];
      if (layer.k.length == expected && layer.v.length == expected) continue;
      Problem(name, ": layer ", i, " has ", layer.k.length, " and ", layer.v.length, " bytes, expected ",
              expected);
    }
  }

  absl::Status CheckPointer(absl::string_view entry_key, const ExtentPointer& pointer,
                            const std::string& name) {
    const std::string row_key = storage::ExtentRowKey(pointer.file, pointer.offset);
    const auto value = context_.store->Get(Table::kExtents, row_key, snapshot_);
    if (!value.ok() && !absl::IsNotFound(value.status()) && !absl::IsDataLoss(value.status())) {
      return value.status();
    }
    const auto row = value.ok() ? storage::DecodeExtentRow(row_key, *value) : value.status();
    if (!row.ok()) {
      Problem(name, " points to ", storage::DescribeExtent(pointer), ": ", row.status().message());
    } else if (!(row->pointer == pointer)) {
      Problem(name, " points to ", storage::DescribeExtent(pointer), ", but there is ",
              storage::DescribeExtent(row->pointer), " with another length or checksum");
    } else if (row->owner.table != Table::kKvEntries || row->owner.key != entry_key) {
      Problem(name, " points to ", storage::DescribeExtent(pointer), ", which belongs to another record");
    }
    return absl::OkStatus();
  }

  // An entry without a summary is no problem: opening adds it.
  absl::Status CheckSummary(absl::string_view key, absl::string_view value) {
    const auto hash = ParseSummaryKey(key);
    const auto summary = DecodeSummary(value, "kv summary");
    if (!hash.ok() || !summary.ok()) {
      Problem((hash.ok() ? summary.status() : hash.status()).message());
      return absl::OkStatus();
    }
    const std::string name = EntryName(summary->entry_key);
    if (HashOf(summary->entry_key) != *hash) Problem(name, ": its summary lies under another hash");
    RETURN_IF_ERROR(LoadOwner(summary->entry_key));
    if (absl::IsNotFound(owner_.status())) {
      Problem(name, ": there is a summary, but no entry");
      return absl::OkStatus();
    }
    if (!owner_.ok()) return absl::OkStatus();  // the scan of the entries tells
    const uint64_t bytes = SummaryOf(summary->entry_key, *owner_, 0).bytes;
    if (bytes != summary->bytes) {
      Problem(name, ": its summary says ", summary->bytes, " bytes, its record ", bytes);
    }
    return absl::OkStatus();
  }

  absl::Status CheckOwner(absl::string_view key, absl::string_view value) {
    if (!key.empty() && key[0] == kSummaryTag) return CheckSummary(key, value);
    const auto row = ParseOwnerKey(key);
    if (!row.ok()) {
      Problem(row.status().message());
      return absl::OkStatus();
    }
    const std::string name = absl::StrCat(EntryName(row->entry_key), ": owner (collection ", row->collection,
                                          ", vid ", row->vid, ")");
    const bool by_chunk = key[0] == kChunkOwnerTag;
    ASSIGN_OR_RETURN(const bool inverse,
                     Exists(Table::kKvOwners, by_chunk ? EntryOwnerKey(*row) : ChunkOwnerKey(*row)));
    if (!inverse) Problem(name, ": there is no row from ", by_chunk ? "entry to chunk" : "chunk to entry");
    if (by_chunk) return absl::OkStatus();
    ASSIGN_OR_RETURN(const bool entry, Exists(Table::kKvEntries, row->entry_key));
    if (!entry) Problem(name, ": the entry does not exist");
    if (exists_ == nullptr) return absl::OkStatus();
    ASSIGN_OR_RETURN(const bool chunk, exists_({row->collection, row->vid}));
    if (!chunk) Problem(name, ": the chunk does not exist");
    return absl::OkStatus();
  }

  absl::Status CheckExtent(absl::string_view key, absl::string_view value) {
    const auto row = storage::DecodeExtentRow(key, value);
    if (!row.ok() || row->owner.table != Table::kKvEntries) return absl::OkStatus();  // ExtentStore::Verify's
    RETURN_IF_ERROR(LoadOwner(row->owner.key));
    const absl::string_view fault = absl::IsNotFound(owner_.status())              ? "does not exist"
                                    : owner_.ok() && !Holds(*owner_, row->pointer) ? "does not point to it"
                                                                                   : "";
    if (!fault.empty()) {
      Problem(storage::DescribeExtent(row->pointer), " belongs to ", EntryName(row->owner.key), ", which ",
              fault);
    }
    return absl::OkStatus();
  }

  // An entry's extents mostly follow one another: decoded once for all of them.
  absl::Status LoadOwner(const std::string& entry_key) {
    if (entry_key == owner_key_) return absl::OkStatus();
    const auto record = context_.store->Get(Table::kKvEntries, entry_key, snapshot_);
    if (!record.ok() && !absl::IsNotFound(record.status()) && !absl::IsDataLoss(record.status())) {
      return record.status();
    }
    owner_key_ = entry_key;
    owner_ = record.ok() ? DecodeEntry(*record, "") : record.status();
    return absl::OkStatus();
  }

  // A damaged record exists; the scan of its table tells of it.
  absl::StatusOr<bool> Exists(Table table, absl::string_view key) const {
    const auto value = context_.store->Get(table, key, snapshot_);
    if (absl::IsNotFound(value.status())) return false;
    if (!value.ok() && !absl::IsDataLoss(value.status())) return value.status();
    return true;
  }

  const KvContext& context_;
  const Snapshot* const snapshot_;
  const ChunkExists& exists_;
  std::vector<std::string>& problems_;
  uint64_t records_ = 0;
  std::string owner_key_;
  absl::StatusOr<Entry> owner_ = absl::NotFoundError("");
};

}  // namespace

absl::StatusOr<uint64_t> Verify(const KvContext& context, const Snapshot* snapshot, const ChunkExists& exists,
                                std::vector<std::string>* problems) {
  return Verifier(context, snapshot, exists, problems).Run();
}

}  // namespace larder::kv
