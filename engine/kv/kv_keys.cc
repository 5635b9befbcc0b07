#include "engine/kv/kv_keys.h"

#include <openssl/evp.h>

#include <algorithm>
#include <bit>
#include <memory>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "storage/coding.h"
#include "storage/status_macros.h"

namespace larder::kv {
namespace {

constexpr size_t kChunkIdBytes = 4 + 8;

// EVP_sha256() looks its provider up at every digest; a fetched one does so once.
const EVP_MD* FetchedSha256() {
  static const EVP_MD* const kMd = [] {
    const EVP_MD* fetched = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    return fetched != nullptr ? fetched : EVP_sha256();
  }();
  return kMd;
}

absl::StatusOr<OwnerRow> OwnerOf(absl::string_view chunk_id, absl::string_view entry_key) {
  RETURN_IF_ERROR(ParseEntryKey(entry_key).status());
  return OwnerRow{storage::ReadKey32(chunk_id.data()), storage::ReadKey64(chunk_id.data() + 4),
                  std::string(entry_key)};
}

}  // namespace

std::string Sha256(absl::string_view bytes) {
  std::string digest(kHashBytes, '\0');
  unsigned int size = 0;
  EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()), &size,
             FetchedSha256(), nullptr);
  return digest;
}

std::string TokenHash(absl::Span<const int32_t> tokens) {
  if constexpr (std::endian::native == std::endian::little) {
    return Sha256(absl::string_view(reinterpret_cast<const char*>(tokens.data()), tokens.size() * 4));
  }
  std::string bytes;
  bytes.reserve(tokens.size() * 4);
  for (const int32_t token : tokens) {
    for (int shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<char>(token >> shift));
  }
  return Sha256(bytes);
}

absl::Status ValidateTokens(absl::Span<const int32_t> tokens) {
  if (tokens.empty() || tokens.size() > kMaxTokens) {
    return absl::InvalidArgumentError(
        absl::StrCat("kv tokens: found ", tokens.size(), ", expected 1 to ", kMaxTokens));
  }
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("kv tokens: token ", i, " is ", tokens[i], ", expected 0 or more"));
    }
  }
  return absl::OkStatus();
}

absl::Status ValidateTenant(absl::string_view tenant) {
  if (tenant.size() > kMaxTenantBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("kv tenant: ", tenant.size(), " bytes, expected at most ", kMaxTenantBytes));
  }
  if (tenant.find('\0') != absl::string_view::npos) {
    return absl::InvalidArgumentError("kv tenant: holds a NUL byte");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ProfileBytes(absl::string_view profile_id) {
  const bool hex = profile_id.find_first_not_of("0123456789abcdef") == absl::string_view::npos;
  if (profile_id.size() != 2 * kHashBytes || !hex) {
    return absl::InvalidArgumentError(
        absl::StrCat("kv profile id: found '", absl::CHexEscape(profile_id.substr(0, 2 * kHashBytes)),
                     "' of ", profile_id.size(), " bytes, expected 64 lower-case hex digits"));
  }
  return absl::HexStringToBytes(profile_id);
}

absl::StatusOr<std::string> ContextBytes(const KvVariant& variant) {
  const auto kind = static_cast<uint8_t>(variant.kind);
  if (kind > static_cast<uint8_t>(KvVariantKind::kSourceSet)) {
    return absl::InvalidArgumentError(absl::StrCat("kv variant: kind is ", kind, ", expected 0 to ",
                                                   static_cast<uint8_t>(KvVariantKind::kSourceSet)));
  }
  const size_t chunks = variant.context.size();
  const bool none = variant.kind == KvVariantKind::kNone;
  if (none ? chunks != 0 : chunks == 0 || chunks > kMaxContext) {
    return absl::InvalidArgumentError(absl::StrCat("kv variant: kind ", kind, " with a context of ", chunks,
                                                   " chunks, expected ",
                                                   none ? "none" : absl::StrCat("1 to ", kMaxContext)));
  }
  std::vector<std::string> hashes;
  for (const std::string& hex : variant.context) {
    auto hash = ProfileBytes(hex);
    if (!hash.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("kv variant: context ", hashes.size(), " is '",
                                                     absl::CHexEscape(hex.substr(0, 2 * kHashBytes)),
                                                     "', expected 64 lower-case hex digits"));
    }
    hashes.push_back(*std::move(hash));
  }
  if (variant.kind == KvVariantKind::kSourceSet) {
    std::sort(hashes.begin(), hashes.end());
    hashes.erase(std::unique(hashes.begin(), hashes.end()), hashes.end());
  }
  return absl::StrJoin(hashes, "");
}

absl::StatusOr<std::string> EntryKey(const KvKey& key) {
  return EntryKey(key.tenant, key.profile_id, key.tokens, key.variant);
}

absl::StatusOr<std::string> EntryKey(absl::string_view tenant, absl::string_view profile_id,
                                     absl::Span<const int32_t> tokens, const KvVariant& variant) {
  RETURN_IF_ERROR(ValidateTenant(tenant));
  RETURN_IF_ERROR(ValidateTokens(tokens));
  ASSIGN_OR_RETURN(const std::string profile, ProfileBytes(profile_id));
  ASSIGN_OR_RETURN(const std::string context, ContextBytes(variant));
  std::string key;
  key.reserve(tenant.size() + 2 + 3 * kHashBytes + 1);
  storage::AppendKeyString(tenant, &key);
  absl::StrAppend(&key, profile, TokenHash(tokens));
  key.push_back(static_cast<char>(variant.kind));
  if (!context.empty()) key += Sha256(context);
  return key;
}

absl::StatusOr<std::string> EntryKeyOfHash(absl::string_view tenant, absl::string_view profile_id,
                                           absl::string_view token_hash) {
  RETURN_IF_ERROR(ValidateTenant(tenant));
  ASSIGN_OR_RETURN(const std::string profile, ProfileBytes(profile_id));
  if (token_hash.size() != kHashBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("token hash has ", token_hash.size(), " bytes, expected ", kHashBytes));
  }
  std::string key;
  key.reserve(tenant.size() + 2 + 2 * kHashBytes + 1);
  storage::AppendKeyString(tenant, &key);
  absl::StrAppend(&key, profile, token_hash);
  key.push_back(static_cast<char>(KvVariantKind::kNone));
  return key;
}

absl::StatusOr<EntryKeyParts> ParseEntryKey(absl::string_view entry_key) {
  EntryKeyParts parts;
  absl::string_view rest = entry_key;
  ASSIGN_OR_RETURN(parts.tenant, storage::ReadKeyString(&rest));
  constexpr size_t kKind = 2 * kHashBytes;
  const uint8_t kind = rest.size() > kKind ? static_cast<uint8_t>(rest[kKind]) : 0;
  const size_t expected = kKind + 1 + (kind == 0 ? 0 : kHashBytes);
  if (rest.size() != expected || kind > static_cast<uint8_t>(KvVariantKind::kSourceSet)) {
    return absl::DataLossError(absl::StrCat("kv entry key ", absl::BytesToHexString(entry_key), ": ",
                                            rest.size(), " bytes after the tenant, expected ", expected,
                                            " with variant 0 to 3, found ", kind));
  }
  parts.variant = static_cast<KvVariantKind>(kind);
  parts.context_hash = std::string(rest.substr(kKind + 1));
  parts.profile_id = absl::BytesToHexString(rest.substr(0, kHashBytes));
  parts.token_hash = std::string(rest.substr(kHashBytes, kHashBytes));
  return parts;
}

std::string EntryName(absl::string_view entry_key) {
  const auto parts = ParseEntryKey(entry_key);
  if (!parts.ok()) return absl::StrCat("kv entry with malformed key ", absl::BytesToHexString(entry_key));
  return absl::StrCat(
      "kv entry (tenant '", absl::CHexEscape(parts->tenant), "', profile ", parts->profile_id.substr(0, 12),
      ", tokens ", absl::BytesToHexString(parts->token_hash).substr(0, 12),
      parts->context_hash.empty()
          ? ""
          : absl::StrCat(", context ", absl::BytesToHexString(parts->context_hash).substr(0, 12)),
      ")");
}

std::string CollectionOwnersPrefix(uint32_t collection) {
  std::string key(1, kChunkOwnerTag);
  storage::AppendKey32(collection, &key);
  return key;
}

std::string ChunkOwnersPrefix(uint32_t collection, uint64_t vid) {
  std::string key = CollectionOwnersPrefix(collection);
  storage::AppendKey64(vid, &key);
  return key;
}

std::string EntryOwnersPrefix(absl::string_view entry_key) {
  return absl::StrCat(absl::string_view(&kEntryOwnerTag, 1), entry_key);
}

std::string ChunkOwnerKey(const OwnerRow& row) {
  return absl::StrCat(ChunkOwnersPrefix(row.collection, row.vid), row.entry_key);
}

std::string EntryOwnerKey(const OwnerRow& row) {
  std::string key = EntryOwnersPrefix(row.entry_key);
  storage::AppendKey32(row.collection, &key);
  storage::AppendKey64(row.vid, &key);
  return key;
}

absl::StatusOr<OwnerRow> ParseOwnerKey(absl::string_view key) {
  if (key.size() > 1 + kChunkIdBytes) {
    const absl::string_view rest = key.substr(1);
    if (key[0] == kChunkOwnerTag) return OwnerOf(rest.substr(0, kChunkIdBytes), rest.substr(kChunkIdBytes));
    if (key[0] == kEntryOwnerTag) {
      const size_t split = rest.size() - kChunkIdBytes;
      return OwnerOf(rest.substr(split), rest.substr(0, split));
    }
  }
  return absl::DataLossError(absl::StrCat("kv owner key ", absl::BytesToHexString(key),
                                          ": expected 'c' or 'e', collection, vid and an entry key"));
}

}  // namespace larder::kv
