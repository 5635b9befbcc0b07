#include "index/tree/tree_rows.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/coding.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

constexpr uint8_t kRowVersion = 1;
constexpr size_t kPointerBytes = 24;
constexpr uint32_t kMaxRules = 64;

}  // namespace

absl::Status TreeOptions::Validate() const {
  if (dimension == 0 || dimension > 65'536) {
    return absl::InvalidArgumentError(absl::StrCat("tree: dimension ", dimension, ", expected 1 to 65536"));
  }
  if (bits > 8 || copies < 1 || copies > 2 || leaf_entries == 1 || leaf_entries > kMaxGroupRows / 2) {
    return absl::InvalidArgumentError(absl::StrCat("tree: ", bits, " bits, ", copies, " copies and leaves of ",
                                                   leaf_entries, ", expected 0 to 8, 1 or 2, 0 or 2 to 32768"));
  }
  if (element != RowElement::kF16 && element != RowElement::kF32) {
    return absl::InvalidArgumentError("tree: rows are neither f16 nor f32");
  }
  return absl::OkStatus();
}

std::string EncodeHeader(const TreeHeader& header) {
  storage::RecordWriter writer(kRowVersion);
  const TreeOptions& o = header.options;
  writer.U32(o.space);
  writer.U32(o.dimension);
  writer.U8(static_cast<uint8_t>(o.metric));
  writer.U8(static_cast<uint8_t>(o.element));
  writer.U8(static_cast<uint8_t>(o.bits));
  writer.U8(static_cast<uint8_t>(o.copies));
  writer.U32(o.leaf_entries);
  writer.U64(o.seed);
  writer.U32(header.next_node);
  writer.U32(header.next_group);
  writer.U32(header.anchors);
  writer.Bytes(header.centroid_code);
  writer.Varint(header.rules.size());
  for (const ProbeRule& rule : header.rules) {
    writer.Double(rule.recall);
    writer.U32(rule.postings);
    writer.U32(rule.candidates);
    writer.Double(rule.gap);
  }
  return std::move(writer).Finish();
}

absl::StatusOr<TreeHeader> DecodeHeader(absl::string_view bytes) {
  storage::RecordReader reader(bytes, kRowVersion, "tree header");
  TreeHeader header;
  TreeOptions& o = header.options;
  o.space = reader.U32();
  o.dimension = reader.U32();
  const uint8_t metric = reader.U8(), element = reader.U8();
  o.metric = static_cast<Metric>(metric);
  o.element = static_cast<RowElement>(element);
  o.bits = reader.U8();
  o.copies = reader.U8();
  o.leaf_entries = reader.U32();
  o.seed = reader.U64();
  header.next_node = reader.U32();
  header.next_group = reader.U32();
  header.anchors = reader.U32();
  header.centroid_code = std::string(reader.Bytes());
  const uint64_t rules = reader.Varint();
  for (uint64_t i = 0; i < rules && i < kMaxRules; ++i) {
    ProbeRule rule;
    rule.recall = static_cast<float>(reader.Double());
    rule.postings = reader.U32();
    rule.candidates = reader.U32();
    rule.gap = static_cast<float>(reader.Double());
    header.rules.push_back(rule);
  }
  RETURN_IF_ERROR(reader.status());
  if (!o.Validate().ok() || metric > static_cast<uint8_t>(Metric::kL2) || rules > kMaxRules) {
    return absl::DataLossError("tree header: values that no tree has");
  }
  return header;
}

std::string EncodeNode(const NodeRow& node) {
  storage::RecordWriter writer(kRowVersion);
  writer.U32(node.parent);
  writer.U32(node.anchor);
  writer.U8(node.leaf ? 1 : 0);
  writer.Bytes(node.centroid);
  return std::move(writer).Finish();
}

absl::StatusOr<NodeRow> DecodeNode(absl::string_view bytes) {
  storage::RecordReader reader(bytes, kRowVersion, "tree node");
  NodeRow node;
  node.parent = reader.U32();
  node.anchor = reader.U32();
  node.leaf = reader.U8() == 1;
  node.centroid = std::string(reader.Bytes());
  RETURN_IF_ERROR(reader.status());
  return node;
}

std::string EncodeCounted(const CountedPointer& value) {
  std::string bytes;
  storage::EncodePointer(value.pointer, &bytes);
  bytes.append(reinterpret_cast<const char*>(&value.count), sizeof(value.count));
  return bytes;
}

absl::StatusOr<CountedPointer> DecodeCounted(absl::string_view bytes) {
  CountedPointer value;
  if (bytes.size() != kPointerBytes + sizeof(value.count)) {
    return absl::DataLossError(absl::StrCat("tree pointer: ", bytes.size(), " bytes, expected ", kPointerBytes + 4));
  }
  ASSIGN_OR_RETURN(value.pointer, storage::DecodePointer(bytes.substr(0, kPointerBytes)));
  std::memcpy(&value.count, bytes.data() + kPointerBytes, sizeof(value.count));
  return value;
}

TreeKeys::TreeKeys(uint32_t space, uint32_t tenant) {
  storage::AppendKey32(space, &base_);
  storage::AppendKey32(tenant, &base_);
}

std::string TreeKeys::Of(char tag, uint32_t number) const {
  std::string key = Prefix(tag);
  storage::AppendKey32(number, &key);
  return key;
}

std::string TreeKeys::Of(char tag, uint32_t number, uint32_t second) const {
  std::string key = Of(tag, number);
  storage::AppendKey32(second, &key);
  return key;
}

std::string TreeKeys::OfVid(char tag, uint64_t vid) const {
  std::string key = Prefix(tag);
  storage::AppendKey64(vid, &key);
  return key;
}

std::string TreeKeys::Delta(uint32_t node, uint64_t sequence) const {
  std::string key = Of('d', node);
  storage::AppendKey64(sequence, &key);
  return key;
}

std::string FloatBytes(absl::Span<const float> values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
}

absl::StatusOr<std::vector<float>> FloatsOf(absl::string_view bytes, size_t count, absl::string_view what) {
  if (bytes.size() != count * sizeof(float)) {
    return absl::DataLossError(absl::StrCat(what, ": ", bytes.size(), " bytes, expected ", count * sizeof(float)));
  }
  std::vector<float> values(count);
  std::memcpy(values.data(), bytes.data(), bytes.size());
  for (const float value : values) {
    if (!std::isfinite(value)) return absl::DataLossError(absl::StrCat(what, ": not finite"));
  }
  return values;
}

}  // namespace larder::index
