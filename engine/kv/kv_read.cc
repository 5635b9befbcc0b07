#include "engine/kv/kv_read.h"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/kv/kv_drop.h"
#include "engine/kv/kv_keys.h"
#include "engine/kv/kv_summary.h"
#include "engine/kv/kv_tier.h"
#include "storage/status_macros.h"

namespace larder::kv {
namespace {

using storage::ExtentPointer;
using storage::Table;
using storage::WriteBatch;

constexpr size_t kLookupBlock = 256;  // records in memory at once
constexpr int kReadAttempts = 4;

absl::Status Miss(absl::string_view entry_key) {
  return absl::NotFoundError(absl::StrCat(EntryName(entry_key), " is not there"));
}

absl::Status CheckKeyCount(size_t found) {
  if (found <= kMaxKeys) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("kv keys: found ", found, ", expected at most ", kMaxKeys));
}

struct KeyView {
  absl::string_view tenant, profile_id;
  absl::Span<const int32_t> tokens;
  const KvVariant& variant;
};

absl::StatusOr<EntryHeader> MakeHeader(const KeyView& key) {
  EntryHeader header;
  header.variant = key.variant.kind;
  header.profile_id = std::string(key.profile_id);
  header.tenant = std::string(key.tenant);
  header.token_count = static_cast<uint32_t>(key.tokens.size());
  header.tokens = EncodeTokens(key.tokens);
  ASSIGN_OR_RETURN(header.context, ContextBytes(key.variant));
  return header;
}

KeyView ViewOf(const KvKey& key) { return {key.tenant, key.profile_id, key.tokens, key.variant}; }

// Which token is the first to differ.
std::string TokenMismatch(const EntryHeader& found, const EntryHeader& expected) {
  const auto theirs = DecodeTokens(found.tokens, found.token_count);
  const auto ours = DecodeTokens(expected.tokens, expected.token_count);
  if (!theirs.ok() || !ours.ok()) return "its tokens are malformed";
  const size_t at = static_cast<size_t>(std::mismatch(theirs->begin(), theirs->end(), ours->begin()).first -
                                        theirs->begin());
  return absl::StrCat("token ", at, " is ", (*theirs)[at], ", expected ", (*ours)[at]);
}

absl::StatusOr<KvLookup> Judge(const absl::StatusOr<std::string>& record, const EntryHeader& expected) {
  KvLookup answer;
  if (absl::IsNotFound(record.status()) || absl::IsDataLoss(record.status())) return answer;
  RETURN_IF_ERROR(record.status());
  const auto header = DecodeEntryHeader(*record, "kv entry");
  if (!header.ok() || !Mismatch(*header, expected).empty()) return answer;
  answer.hit = true;
  answer.bytes = header->bytes;
  answer.tokens = header->token_count;
  answer.rotated_from = header->rotated_from;
  return answer;
}

// What is in shared memory is in the store too: it leaves the memory first.
bool FindShared(const KvContext& context, const KeyView& key, KvLookup* answer) {
  // Shared memory does not know when its entries expire.
  if (context.pool == nullptr || context.tier->any_expire() || key.variant.kind != KvVariantKind::kNone) return false;
  const auto found = context.pool->Find(key.tenant, key.profile_id, key.tokens);
  if (found.has_value()) *answer = *found;
  return found.has_value();
}

absl::StatusOr<std::vector<KvLookup>> LookupAll(const KvContext& context, size_t count,
                                                const std::function<KeyView(size_t)>& key_at) {
  RETURN_IF_ERROR(CheckKeyCount(count));
  std::vector<KvLookup> answers(count);
  for (size_t begin = 0; begin < count; begin += kLookupBlock) {
    const size_t end = std::min(count, begin + kLookupBlock);
    std::vector<std::string> entry_keys;
    std::vector<size_t> asked;  // of the store
    for (size_t i = begin; i < end; ++i) {
      const KeyView key = key_at(i);
      if (FindShared(context, key, &answers[i])) continue;
      asked.push_back(i);
      auto entry_key = EntryKey(key.tenant, key.profile_id, key.tokens, key.variant);
      if (!entry_key.ok()) {
        return absl::InvalidArgumentError(absl::StrCat("key ", i, ": ", entry_key.status().message()));
      }
      entry_keys.push_back(*std::move(entry_key));
    }
    const auto records = context.store->MultiGet(Table::kKvEntries, entry_keys);
    for (size_t i = 0; i < asked.size(); ++i) {
      ASSIGN_OR_RETURN(const EntryHeader expected, MakeHeader(key_at(asked[i])));
      KvLookup& answer = answers[asked[i]];
      ASSIGN_OR_RETURN(answer, Judge(records[i], expected));
      if (answer.hit && context.tier->Expired(HashOf(entry_keys[i]))) answer = {};
    }
  }
  for (size_t i = 0; i < count; ++i) context.tier->Count(key_at(i).tenant, {&answers[i], 1});
  return answers;
}

// Drops an entry that was found damaged, if `still_so` holds under its lock; false if it does not: the
// entry was moved, replaced or deleted since.
absl::StatusOr<bool> DropDamaged(KvContext* context, const std::string& entry_key,
                                 const std::function<bool(const absl::StatusOr<Entry>&)>& still_so,
                                 const EntryHeader& expected) {
  const KeyLocks::Held held = context->entry_locks.Acquire({entry_key});
  if (!still_so(ReadEntry(*context->store, entry_key, expected))) return false;
  WriteBatch batch;
  RETURN_IF_ERROR(DropEntry(*context, entry_key, &batch));
  const auto written = context->store->Write(std::move(batch));
  context->tier->Refresh(entry_key);
  RETURN_IF_ERROR(written.status());
  return true;
}

absl::Status Damaged(absl::string_view what, const absl::Status& why, const absl::StatusOr<bool>& dropped) {
  return absl::DataLossError(
      absl::StrCat(what, ": ", why.message(),
                   dropped.ok() ? "; the entry was dropped"
                                : absl::StrCat("; it could not be dropped: ", dropped.status().message())));
}

struct PickedRead {
  std::vector<std::string> payloads;
  absl::Status status;  // OK, NotFound (a file is gone), DataLoss, or an error of the device
  std::string where;    // which failed
  ExtentPointer failed;
};

PickedRead ReadAll(const storage::ExtentStore& extents, const Picked& picked) {
  auto payloads = extents.Read(picked.pointers);
  PickedRead read;
  for (size_t i = 0; i < payloads.size(); ++i) {
    if (payloads[i].ok()) continue;
    // Damage outranks a file that is merely gone.
    if (!read.status.ok() && !absl::IsDataLoss(payloads[i].status())) continue;
    read.status = payloads[i].status();
    read.where = picked.names[i];
    read.failed = picked.pointers[i];
    if (absl::IsDataLoss(read.status)) return read;
  }
  if (!read.status.ok()) return read;
  for (auto& payload : payloads) read.payloads.push_back(*std::move(payload));
  return read;
}

absl::Status DropDamagedRecord(KvContext* context, const std::string& entry_key, const EntryHeader& expected,
                               const absl::Status& why) {
  const auto damaged = [](const absl::StatusOr<Entry>& now) { return absl::IsDataLoss(now.status()); };
  return Damaged(EntryName(entry_key), why, DropDamaged(context, entry_key, damaged, expected));
}

}  // namespace

absl::StatusOr<EntryHeader> HeaderFor(const KvKey& key) { return MakeHeader(ViewOf(key)); }

std::string Mismatch(const EntryHeader& found, const EntryHeader& expected) {
  const auto text = [](absl::string_view field, absl::string_view is, absl::string_view should) {
    return absl::StrCat(field, " is '", absl::CHexEscape(is), "', expected '", absl::CHexEscape(should), "'");
  };
  const auto number = [](absl::string_view field, uint64_t is, uint64_t should) {
    return absl::StrCat(field, " is ", is, ", expected ", should);
  };
  if (found.tenant != expected.tenant) return text("tenant", found.tenant, expected.tenant);
  if (found.profile_id != expected.profile_id) return text("profile", found.profile_id, expected.profile_id);
  if (found.variant != expected.variant) {
    return number("variant", static_cast<uint8_t>(found.variant), static_cast<uint8_t>(expected.variant));
  }
  if (found.context != expected.context) {
    return text("context", absl::BytesToHexString(found.context), absl::BytesToHexString(expected.context));
  }
  if (found.token_count != expected.token_count) {
    return number("token count", found.token_count, expected.token_count);
  }
  return found.tokens == expected.tokens ? "" : TokenMismatch(found, expected);
}

absl::StatusOr<Entry> ReadEntry(const storage::Store& store, absl::string_view entry_key,
                                const EntryHeader& expected) {
  const auto record = store.Get(Table::kKvEntries, entry_key);
  if (absl::IsNotFound(record.status())) return Miss(entry_key);
  RETURN_IF_ERROR(record.status());
  ASSIGN_OR_RETURN(Entry entry, DecodeEntry(*record, EntryName(entry_key)));
  if (const std::string mismatch = Mismatch(entry.header, expected); !mismatch.empty()) {
    return absl::NotFoundError(absl::StrCat(
        EntryName(entry_key), " is not there: what stands under its key is another's: ", mismatch));
  }
  return entry;
}

absl::StatusOr<bool> HasEntry(const storage::Store& store, absl::string_view entry_key,
                              const EntryHeader& expected) {
  const auto entry = ReadEntry(store, entry_key, expected);
  if (absl::IsNotFound(entry.status()) || absl::IsDataLoss(entry.status())) return false;
  RETURN_IF_ERROR(entry.status());
  return true;
}

absl::StatusOr<std::vector<KvLookup>> Lookup(const KvContext& context, absl::string_view tenant,
                                             absl::string_view profile_id,
                                             absl::Span<const std::vector<int32_t>> chunks) {
  const KvVariant none;
  return LookupAll(context, chunks.size(), [&](size_t i) {
    return KeyView{tenant, profile_id, chunks[i], none};
  });
}

absl::StatusOr<std::vector<KvLookup>> Lookup(const KvContext& context, absl::Span<const KvKey> keys) {
  return LookupAll(context, keys.size(), [&](size_t i) { return ViewOf(keys[i]); });
}

absl::StatusOr<Entry> ReadOrDrop(KvContext* context, const std::string& entry_key,
                                 const EntryHeader& expected) {
  RETURN_IF_ERROR(context->tier->CheckNotExpired(entry_key));
  auto entry = ReadEntry(*context->store, entry_key, expected);
  if (absl::IsDataLoss(entry.status())) {
    return DropDamagedRecord(context, entry_key, expected, entry.status());
  }
  return entry;
}

absl::StatusOr<std::vector<std::string>> ReadPicked(KvContext* context, const std::string& entry_key,
                                                    const EntryHeader& expected, const Pick& pick) {
  std::vector<ExtentPointer> before;
  for (int attempt = 0; attempt < kReadAttempts; ++attempt) {
    ASSIGN_OR_RETURN(const Entry entry, ReadOrDrop(context, entry_key, expected));
    ASSIGN_OR_RETURN(const Picked picked, pick(entry));
    PickedRead read = ReadAll(*context->extents, picked);
    if (read.status.ok()) return std::move(read.payloads);
    if (!absl::IsDataLoss(read.status) && !absl::IsNotFound(read.status)) return read.status;
    // A file that is gone although the record still names it was lost, not collected.
    const bool lost = absl::IsNotFound(read.status) && picked.pointers == before;
    before = picked.pointers;
    if (absl::IsNotFound(read.status) && !lost) continue;
    const auto holds = [&](const absl::StatusOr<Entry>& now) { return now.ok() && Holds(*now, read.failed); };
    const auto dropped = DropDamaged(context, entry_key, holds, expected);
    if (dropped.ok() && !*dropped) continue;
    return Damaged(absl::StrCat(EntryName(entry_key), ": ", read.where), read.status, dropped);
  }
  return absl::UnavailableError(
      absl::StrCat(EntryName(entry_key), " was moved ", kReadAttempts, " times while it was read"));
}

absl::StatusOr<std::string> GetSidecar(KvContext* context, const KvKey& key, KvSidecarKind kind) {
  ASSIGN_OR_RETURN(const std::string entry_key, EntryKey(key));
  ASSIGN_OR_RETURN(const EntryHeader expected, HeaderFor(key));
  const auto pick = [&](const Entry& entry) -> absl::StatusOr<Picked> {
    const std::string name = absl::StrCat("sidecar ", static_cast<int>(kind));
    for (const EntrySidecar& sidecar : entry.sidecars) {
      if (sidecar.kind == kind) return Picked{{sidecar.bytes}, {name}};
    }
    return absl::NotFoundError(absl::StrCat(EntryName(entry_key), " has no ", name));
  };
  ASSIGN_OR_RETURN(std::vector<std::string> read, ReadPicked(context, entry_key, expected, pick));
  return std::move(read[0]);
}

absl::StatusOr<bool> Delete(KvContext* context, const KvKey& key) {
  ASSIGN_OR_RETURN(const std::string entry_key, EntryKey(key));
  ASSIGN_OR_RETURN(const EntryHeader expected, HeaderFor(key));
  const auto there = [](const absl::StatusOr<Entry>& now) {
    return now.ok() || absl::IsDataLoss(now.status());
  };
  return DropDamaged(context, entry_key, there, expected);
}

}  // namespace larder::kv
