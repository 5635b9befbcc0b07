#include "engine/kv/kv_read.h"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/kv/kv_drop.h"
#include "engine/kv/kv_keys.h"
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

EntryHeader MakeHeader(absl::string_view tenant, absl::string_view profile_id,
                       absl::Span<const int32_t> tokens) {
  EntryHeader header;
  header.profile_id = std::string(profile_id);
  header.tenant = std::string(tenant);
  header.token_count = static_cast<uint32_t>(tokens.size());
  header.tokens = EncodeTokens(tokens);
  return header;
}

absl::StatusOr<KvLookup> Judge(const absl::StatusOr<std::string>& record, const EntryHeader& expected) {
  KvLookup answer;
  if (absl::IsNotFound(record.status()) || absl::IsDataLoss(record.status())) return answer;
  RETURN_IF_ERROR(record.status());
  const auto header = DecodeEntryHeader(*record, "kv entry");
  if (!header.ok() || !SameSubject(*header, expected)) return answer;
  answer.hit = true;
  answer.bytes = header->bytes;
  answer.tokens = header->token_count;
  return answer;
}

struct KeyView {
  absl::string_view tenant, profile_id;
  absl::Span<const int32_t> tokens;
};

absl::StatusOr<std::vector<KvLookup>> LookupAll(const KvContext& context, size_t count,
                                                const std::function<KeyView(size_t)>& key_at) {
  RETURN_IF_ERROR(CheckKeyCount(count));
  std::vector<KvLookup> answers;
  answers.reserve(count);
  for (size_t begin = 0; begin < count; begin += kLookupBlock) {
    const size_t end = std::min(count, begin + kLookupBlock);
    std::vector<std::string> entry_keys;
    for (size_t i = begin; i < end; ++i) {
      const KeyView key = key_at(i);
      auto entry_key = EntryKey(key.tenant, key.profile_id, key.tokens);
      if (!entry_key.ok()) {
        return absl::InvalidArgumentError(absl::StrCat("key ", i, ": ", entry_key.status().message()));
      }
      entry_keys.push_back(*std::move(entry_key));
    }
    const auto records = context.store->MultiGet(Table::kKvEntries, entry_keys);
    for (size_t i = begin; i < end; ++i) {
      const KeyView key = key_at(i);
      ASSIGN_OR_RETURN(KvLookup answer,
                       Judge(records[i - begin], MakeHeader(key.tenant, key.profile_id, key.tokens)));
      answers.push_back(answer);
    }
  }
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
  RETURN_IF_ERROR(context->store->Write(std::move(batch)).status());
  return true;
}

absl::Status Damaged(absl::string_view what, const absl::Status& why, const absl::StatusOr<bool>& dropped) {
  return absl::DataLossError(
      absl::StrCat(what, ": ", why.message(),
                   dropped.ok() ? "; the entry was dropped"
                                : absl::StrCat("; it could not be dropped: ", dropped.status().message())));
}

absl::Status CheckRange(const Entry& entry, absl::string_view entry_key, uint32_t first, uint32_t* count) {
  const uint64_t layers = entry.layers.size();
  const uint64_t end = *count == 0 ? layers : uint64_t{first} + *count;
  if (first >= layers || end > layers) {
    return absl::InvalidArgumentError(absl::StrCat(EntryName(entry_key), ": layers ", first, " to ",
                                                   std::max<uint64_t>(end, first + 1ull) - 1,
                                                   ", expected within 0 to ", layers - 1));
  }
  *count = static_cast<uint32_t>(end - first);
  return absl::OkStatus();
}

// What reading one entry's extents came to.
struct LayersRead {
  std::vector<KvLayer> layers;
  absl::Status status;    // OK, NotFound (a file is gone), DataLoss, or an error of the device
  std::string where;      // "layer 3 K"
  ExtentPointer pointer;  // of the extent that failed
};

LayersRead ReadLayers(const storage::ExtentStore& extents, const Entry& entry, uint32_t first,
                      uint32_t count) {
  std::vector<ExtentPointer> pointers;
  for (uint32_t i = first; i < first + count; ++i) {
    pointers.push_back(entry.layers[i].k);
    pointers.push_back(entry.layers[i].v);
  }
  auto payloads = extents.Read(pointers);
  LayersRead read;
  for (size_t i = 0; i < payloads.size(); ++i) {
    if (payloads[i].ok()) continue;
    // Damage outranks a file that is merely gone.
    if (!read.status.ok() && !absl::IsDataLoss(payloads[i].status())) continue;
    read.status = payloads[i].status();
    read.where = absl::StrCat("layer ", first + i / 2, i % 2 == 0 ? " K" : " V");
    read.pointer = pointers[i];
    if (absl::IsDataLoss(read.status)) return read;
  }
  if (!read.status.ok()) return read;
  for (uint32_t i = 0; i < count; ++i) {
    read.layers.push_back({first + i, *std::move(payloads[2 * i]), *std::move(payloads[2 * i + 1])});
  }
  return read;
}

absl::Status DropDamagedRecord(KvContext* context, const std::string& entry_key, const EntryHeader& expected,
                               const absl::Status& why) {
  const auto damaged = [](const absl::StatusOr<Entry>& now) { return absl::IsDataLoss(now.status()); };
  return Damaged(EntryName(entry_key), why, DropDamaged(context, entry_key, damaged, expected));
}

}  // namespace

EntryHeader HeaderFor(const KvKey& key) { return MakeHeader(key.tenant, key.profile_id, key.tokens); }

bool SameSubject(const EntryHeader& found, const EntryHeader& expected) {
  return found.variant == expected.variant && found.token_count == expected.token_count &&
         found.tokens == expected.tokens && found.tenant == expected.tenant &&
         found.profile_id == expected.profile_id;
}

absl::StatusOr<Entry> ReadEntry(const storage::Store& store, absl::string_view entry_key,
                                const EntryHeader& expected) {
  const auto record = store.Get(Table::kKvEntries, entry_key);
  if (absl::IsNotFound(record.status())) return Miss(entry_key);
  RETURN_IF_ERROR(record.status());
  ASSIGN_OR_RETURN(Entry entry, DecodeEntry(*record, EntryName(entry_key)));
  if (!SameSubject(entry.header, expected)) return Miss(entry_key);
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
  return LookupAll(context, chunks.size(), [&](size_t i) { return KeyView{tenant, profile_id, chunks[i]}; });
}

absl::StatusOr<std::vector<KvLookup>> Lookup(const KvContext& context, absl::Span<const KvKey> keys) {
  return LookupAll(context, keys.size(), [&](size_t i) {
    return KeyView{keys[i].tenant, keys[i].profile_id, keys[i].tokens};
  });
}

absl::StatusOr<std::vector<KvLayer>> Get(KvContext* context, const KvKey& key, uint32_t first,
                                         uint32_t count) {
  ASSIGN_OR_RETURN(const std::string entry_key, EntryKey(key.tenant, key.profile_id, key.tokens));
  const EntryHeader expected = HeaderFor(key);
  Entry before;
  for (int attempt = 0; attempt < kReadAttempts; ++attempt) {
    auto entry = ReadEntry(*context->store, entry_key, expected);
    if (absl::IsDataLoss(entry.status())) {
      return DropDamagedRecord(context, entry_key, expected, entry.status());
    }
    RETURN_IF_ERROR(entry.status());
    uint32_t range = count;
    RETURN_IF_ERROR(CheckRange(*entry, entry_key, first, &range));
    LayersRead read = ReadLayers(*context->extents, *entry, first, range);
    if (read.status.ok()) return std::move(read.layers);
    // A file that is gone although the record still names it was lost, not collected.
    const bool lost = absl::IsNotFound(read.status) && entry->layers == before.layers;
    if (!absl::IsDataLoss(read.status) && !absl::IsNotFound(read.status)) return read.status;
    before = *std::move(entry);
    if (absl::IsNotFound(read.status) && !lost) continue;
    const auto holds = [&](const absl::StatusOr<Entry>& now) {
      return now.ok() && Holds(*now, read.pointer);
    };
    const auto dropped = DropDamaged(context, entry_key, holds, expected);
    if (dropped.ok() && !*dropped) continue;
    return Damaged(absl::StrCat(EntryName(entry_key), ": ", read.where), read.status, dropped);
  }
  return absl::UnavailableError(
      absl::StrCat(EntryName(entry_key), " was moved ", kReadAttempts, " times while it was read"));
}

absl::StatusOr<bool> Delete(KvContext* context, const KvKey& key) {
  ASSIGN_OR_RETURN(const std::string entry_key, EntryKey(key.tenant, key.profile_id, key.tokens));
  const auto there = [](const absl::StatusOr<Entry>& now) {
    return now.ok() || absl::IsDataLoss(now.status());
  };
  return DropDamaged(context, entry_key, there, HeaderFor(key));
}

}  // namespace larder::kv
