#include "engine/kv/kv_entry.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/coding.h"
#include "storage/status_macros.h"

namespace larder::kv {
namespace {

constexpr uint8_t kEntryVersion = 1;

absl::Status Malformed(absl::string_view what, absl::string_view field, uint64_t found, uint64_t most) {
  return absl::DataLossError(absl::StrCat(what, ": ", field, " is ", found, ", expected at most ", most));
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
  if (variant != static_cast<uint8_t>(VariantKind::kNone)) {
    return Malformed(what, "variant", variant, static_cast<uint8_t>(VariantKind::kNone));
  }
  if (token_count > kMaxTokens) return Malformed(what, "token count", token_count, kMaxTokens);
  header.token_count = static_cast<uint32_t>(token_count);
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

}  // namespace

bool Holds(const Entry& entry, const storage::ExtentPointer& pointer) {
  return std::any_of(entry.layers.begin(), entry.layers.end(),
                     [&](const EntryLayer& layer) { return layer.k == pointer || layer.v == pointer; });
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
  writer.Varint(entry.layers.size());
  for (const EntryLayer& layer : entry.layers) {
    WritePointer(layer.k, &writer);
    WritePointer(layer.v, &writer);
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
  const uint64_t layers = reader.Varint();
  RETURN_IF_ERROR(reader.status());
  if (layers > kMaxLayers) return Malformed(what, "layer count", layers, kMaxLayers);
  uint64_t bytes = 0;
  for (uint64_t i = 0; i < layers; ++i) {
    EntryLayer layer;
    ASSIGN_OR_RETURN(layer.k, ReadPointer(&reader, what));
    ASSIGN_OR_RETURN(layer.v, ReadPointer(&reader, what));
    bytes += layer.k.length + layer.v.length;
    entry.layers.push_back(layer);
  }
  if (!reader.AtEnd()) return absl::DataLossError(absl::StrCat(what, ": bytes follow the last layer"));
  if (bytes != entry.header.bytes) {
    return absl::DataLossError(
        absl::StrCat(what, ": layers hold ", bytes, " bytes, expected ", entry.header.bytes));
  }
  return entry;
}

}  // namespace larder::kv
