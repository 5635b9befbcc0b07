#include "engine/kv/kv_entry.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/coding.h"
#include "storage/status_macros.h"

namespace larder::kv {
namespace {

constexpr uint8_t kEntryVersion = 2;
constexpr auto kLastVariant = static_cast<uint8_t>(KvVariantKind::kSourceSet);
constexpr auto kLastSidecar = static_cast<uint8_t>(KvSidecarKind::kCentroids);

absl::Status Malformed(absl::string_view what, absl::string_view field, uint64_t found, uint64_t most) {
  return absl::DataLossError(absl::StrCat(what, ": ", field, " is ", found, ", expected at most ", most));
}

// What version 2 adds to the header: the hashes of the context, and where K is rotated to.
absl::Status ReadVariant(storage::RecordReader* reader, absl::string_view what, EntryHeader* header) {
  header->context = std::string(reader->Bytes());
  const uint64_t rotated = reader->Varint();  // 0: before RoPE, else the position and 1
  RETURN_IF_ERROR(reader->status());
  const bool none = header->variant == KvVariantKind::kNone;
  const size_t size = header->context.size();
  if (none != (size == 0) || size % kHashBytes != 0 || size > kMaxContext * kHashBytes) {
    return absl::DataLossError(absl::StrCat(what, ": variant ", static_cast<int>(header->variant),
                                            " with a context of ", size, " bytes"));
  }
  constexpr uint64_t kMostRotated = uint64_t{1} << 32;
  if (rotated > kMostRotated) return Malformed(what, "base position", rotated, kMostRotated);
  if (rotated > 0) header->rotated_from = static_cast<uint32_t>(rotated - 1);
  return absl::OkStatus();
}

absl::StatusOr<EntryHeader> ReadHeader(storage::RecordReader* reader, absl::string_view what) {
  EntryHeader header;
  const uint8_t variant = reader->U8();
  header.created_ms = static_cast<int64_t>(reader->U64());
  header.codec = std::string(reader->Bytes());
  header.profile_id = std::string(reader->Bytes());
  header.tenant = std::string(reader->Bytes());
  const uint64_t token_count = reader->Varint();
  header.tokens = std::string(reader->Bytes());
  header.bytes = reader->Varint();
  RETURN_IF_ERROR(reader->status());
  const uint8_t last_variant = reader->version() == 1 ? 0 : kLastVariant;
  if (variant > last_variant) return Malformed(what, "variant", variant, last_variant);
  header.variant = static_cast<KvVariantKind>(variant);
  if (token_count > kMaxTokens) return Malformed(what, "token count", token_count, kMaxTokens);
  header.token_count = static_cast<uint32_t>(token_count);
  if (reader->version() >= 2) RETURN_IF_ERROR(ReadVariant(reader, what, &header));
  return header;
}

absl::StatusOr<storage::ExtentPointer> ReadPointer(storage::RecordReader* reader, absl::string_view what) {
  const absl::string_view bytes = reader->Bytes();
  RETURN_IF_ERROR(reader->status());
  auto pointer = storage::DecodePointer(bytes);
  if (!pointer.ok()) return absl::DataLossError(absl::StrCat(what, ": ", pointer.status().message()));
  return pointer;
}

void WritePointer(const storage::ExtentPointer& pointer, storage::RecordWriter* writer) {
  std::string bytes;
  storage::EncodePointer(pointer, &bytes);
  writer->Bytes(bytes);
}

absl::StatusOr<std::vector<EntryLayer>> ReadLayers(storage::RecordReader* reader, absl::string_view what,
                                                   uint64_t expected_bytes) {
  const uint64_t count = reader->Varint();
  RETURN_IF_ERROR(reader->status());
  if (count > kMaxLayers) return Malformed(what, "layer count", count, kMaxLayers);
  std::vector<EntryLayer> layers;
  uint64_t bytes = 0;
  for (uint64_t i = 0; i < count; ++i) {
    EntryLayer& layer = layers.emplace_back();
    ASSIGN_OR_RETURN(layer.k, ReadPointer(reader, what));
    ASSIGN_OR_RETURN(layer.v, ReadPointer(reader, what));
    bytes += layer.k.length + layer.v.length;
  }
  if (bytes != expected_bytes) {
    return absl::DataLossError(
        absl::StrCat(what, ": layers hold ", bytes, " bytes, expected ", expected_bytes));
  }
  return layers;
}

absl::StatusOr<std::vector<EntrySidecar>> ReadSidecars(storage::RecordReader* reader,
                                                       absl::string_view what) {
  const uint64_t count = reader->Varint();
  RETURN_IF_ERROR(reader->status());
  std::vector<EntrySidecar> sidecars;
  for (uint64_t i = 0; i < count; ++i) {
    const uint8_t kind = reader->U8();
    RETURN_IF_ERROR(reader->status());
    if (kind > kLastSidecar || (i > 0 && kind <= static_cast<uint8_t>(sidecars.back().kind))) {
      return Malformed(what, "sidecar kind", kind, kLastSidecar);
    }
    EntrySidecar& sidecar = sidecars.emplace_back();
    sidecar.kind = static_cast<KvSidecarKind>(kind);
    ASSIGN_OR_RETURN(sidecar.bytes, ReadPointer(reader, what));
  }
  return sidecars;
}

}  // namespace

std::vector<storage::ExtentPointer> PointersOf(const Entry& entry) {
  std::vector<storage::ExtentPointer> pointers;
  pointers.reserve(2 * entry.layers.size() + entry.sidecars.size());
  for (const EntryLayer& layer : entry.layers) pointers.insert(pointers.end(), {layer.k, layer.v});
  for (const EntrySidecar& sidecar : entry.sidecars) pointers.push_back(sidecar.bytes);
  return pointers;
}

bool Holds(const Entry& entry, const storage::ExtentPointer& pointer) {
  const std::vector<storage::ExtentPointer> pointers = PointersOf(entry);
  return std::find(pointers.begin(), pointers.end(), pointer) != pointers.end();
}

std::string EncodeTokens(absl::Span<const int32_t> tokens) {
  constexpr size_t kMaxVarintBytes = 5;
  std::string out(tokens.size() * kMaxVarintBytes, '\0');  // every lookup comes here: no push_back
  char* next = out.data();
  for (const int32_t token : tokens) {
    uint32_t value = static_cast<uint32_t>(token);
    for (; value >= 0x80; value >>= 7) *next++ = static_cast<char>(value | 0x80);
    *next++ = static_cast<char>(value);
  }
  out.resize(static_cast<size_t>(next - out.data()));
  return out;
}

absl::StatusOr<std::vector<int32_t>> DecodeTokens(absl::string_view bytes, uint32_t count) {
  std::vector<int32_t> tokens;
  tokens.reserve(count);
  uint64_t value = 0;
  int shift = 0;
  for (const char c : bytes) {
    value |= static_cast<uint64_t>(c & 0x7f) << shift;
    if ((c & 0x80) != 0 && shift < 28) {
      shift += 7;
      continue;
    }
    if ((c & 0x80) != 0 || value > std::numeric_limits<int32_t>::max()) {
      return absl::DataLossError(absl::StrCat("kv tokens: token ", tokens.size(), " is out of range"));
    }
    tokens.push_back(static_cast<int32_t>(value));
    value = 0;
    shift = 0;
  }
  if (shift != 0 || tokens.size() != count) {
    return absl::DataLossError(
        absl::StrCat("kv tokens: found ", tokens.size(), " in ", bytes.size(), " bytes, expected ", count));
  }
  return tokens;
}

std::string EncodeEntry(Entry entry) {
  EntryHeader& header = entry.header;
  header.bytes = 0;
  for (const EntryLayer& layer : entry.layers) header.bytes += layer.k.length + layer.v.length;
  storage::RecordWriter writer(kEntryVersion);
  writer.U8(static_cast<uint8_t>(header.variant));
  writer.U64(static_cast<uint64_t>(header.created_ms));
  writer.Bytes(header.codec);
  writer.Bytes(header.profile_id);
  writer.Bytes(header.tenant);
  writer.Varint(header.token_count);
  writer.Bytes(header.tokens);
  writer.Varint(header.bytes);
  writer.Bytes(header.context);
  writer.Varint(header.rotated_from.has_value() ? uint64_t{*header.rotated_from} + 1 : 0);
  writer.Varint(entry.layers.size());
  for (const EntryLayer& layer : entry.layers) {
    WritePointer(layer.k, &writer);
    WritePointer(layer.v, &writer);
  }
  writer.Varint(entry.sidecars.size());
  for (const EntrySidecar& sidecar : entry.sidecars) {
    writer.U8(static_cast<uint8_t>(sidecar.kind));
    WritePointer(sidecar.bytes, &writer);
  }
  return std::move(writer).Finish();
}

absl::StatusOr<EntryHeader> DecodeEntryHeader(absl::string_view record, absl::string_view what) {
  storage::RecordReader reader(record, kEntryVersion, what);
  return ReadHeader(&reader, what);
}

absl::StatusOr<Entry> DecodeEntry(absl::string_view record, absl::string_view what) {
  storage::RecordReader reader(record, kEntryVersion, what);
  Entry entry;
  ASSIGN_OR_RETURN(entry.header, ReadHeader(&reader, what));
  ASSIGN_OR_RETURN(entry.layers, ReadLayers(&reader, what, entry.header.bytes));
  if (reader.version() >= 2) {
    ASSIGN_OR_RETURN(entry.sidecars, ReadSidecars(&reader, what));
  }
  if (!reader.AtEnd()) return absl::DataLossError(absl::StrCat(what, ": bytes follow the last pointer"));
  return entry;
}

}  // namespace larder::kv
