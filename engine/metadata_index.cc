#include "engine/metadata_index.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "engine/keys.h"
#include "storage/coding.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

using index::VidSet;

// Row key: collection, field, type, value, vid. The field "" (which metadata cannot have) is the tenant.
constexpr char kTypeEmptyList = 0, kTypeBool = 1, kTypeNumber = 2, kTypeString = 3, kTypeCutString = 4;
constexpr size_t kVidBytes = 8;

std::string FieldPrefix(uint32_t collection, absl::string_view field) {
  std::string key = CollectionPrefix(collection);
  storage::AppendKeyString(field, &key);
  return key;
}

// Integers and decimals share one order, by exact value: the nearest double, then how far the
// integer lies from it (at most 512 for 64-bit integers).
void AppendNumber(const Scalar& value, std::string* out) {
  if (const double* number = std::get_if<double>(&value)) {
    storage::AppendKeyDouble(*number, out);
    storage::AppendKey16(0x8000, out);
    return;
  }
  const int64_t integer = std::get<int64_t>(value);
  const double nearest = static_cast<double>(integer);
  storage::AppendKeyDouble(nearest, out);
  const __int128 distance = static_cast<__int128>(integer) - static_cast<__int128>(nearest);
  storage::AppendKey16(static_cast<uint16_t>(0x8000 + static_cast<int>(distance)), out);
}

double ReadDouble(const char* data) {
  const uint64_t sign = uint64_t{1} << 63;
  uint64_t bits = storage::ReadKey64(data);
  bits = (bits & sign) ? bits & ~sign : ~bits;
  double value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

Scalar ReadNumber(absl::string_view bytes) {
  const double nearest = ReadDouble(bytes.data());
  const int distance = static_cast<int>(storage::ReadKey16(bytes.data() + 8)) - 0x8000;
  if (std::abs(nearest) > 9.3e18 || nearest != std::floor(nearest)) return Scalar(nearest);
  const __int128 integer = static_cast<__int128>(nearest) + distance;
  if (integer > INT64_MAX || integer < INT64_MIN) return Scalar(nearest);
  return Scalar(static_cast<int64_t>(integer));
}

bool IsCut(const Scalar& value) {
  const std::string* text = std::get_if<std::string>(&value);
  return text != nullptr && text->size() > kMaxIndexedStringBytes;
}

// Cut strings sort apart from whole ones, under a type of their own.
char TypeOf(const Scalar& value) {
  if (std::holds_alternative<bool>(value)) return kTypeBool;
  if (std::holds_alternative<std::string>(value)) return IsCut(value) ? kTypeCutString : kTypeString;
  return kTypeNumber;
}

void AppendValue(const Scalar& value, std::string* out) {
  if (const bool* flag = std::get_if<bool>(&value)) {
    out->push_back(*flag ? 1 : 0);
  } else if (const std::string* text = std::get_if<std::string>(&value)) {
    storage::AppendKeyString(absl::string_view(*text).substr(0, kMaxIndexedStringBytes), out);
  } else {
    AppendNumber(value, out);
  }
}

Metadata OneField(const std::string& field, Scalar value) {
  Metadata metadata;
  metadata.emplace(field, MetadataValue(std::move(value)));
  return metadata;
}

}  // namespace

std::vector<std::string> FieldKeys(uint32_t collection, absl::string_view tenant, const Metadata& metadata,
                                   uint64_t vid) {
  std::vector<std::string> keys;
  const auto add = [&](absl::string_view field, const Scalar* value) {
    std::string key = FieldPrefix(collection, field);
    key.push_back(value == nullptr ? kTypeEmptyList : TypeOf(*value));
    if (value != nullptr) AppendValue(*value, &key);
    storage::AppendKey64(vid, &key);
    keys.push_back(std::move(key));
  };
  if (!tenant.empty()) {
    const Scalar value{std::string(tenant)};
    add("", &value);
  }
  for (const auto& [field, value] : metadata) {
    if (value.values.empty()) add(field, nullptr);
    for (const Scalar& scalar : value.values) add(field, &scalar);
  }
  return keys;
}

FilterCompiler::FilterCompiler(const storage::Store& store, uint32_t collection, const VidSet& live,
                               MetadataOf metadata_of)
    : store_(store), collection_(collection), live_(live), metadata_of_(std::move(metadata_of)) {}

absl::StatusOr<VidSet> FilterCompiler::Compile(const Filter& filter) const {
  ASSIGN_OR_RETURN(VidSet matches, Combine(filter));
  matches &= live_;
  return matches;
}

absl::StatusOr<VidSet> FilterCompiler::Combine(const Filter& filter) const {
  switch (filter.op) {
    case Filter::Op::kAnd: {
      if (filter.children.empty()) return live_;
      ASSIGN_OR_RETURN(VidSet all, Combine(filter.children[0]));
      for (size_t i = 1; i < filter.children.size() && !all.empty(); ++i) {
        ASSIGN_OR_RETURN(VidSet more, Combine(filter.children[i]));
        all &= more;
      }
      return all;
    }
    case Filter::Op::kOr: {
      VidSet any;
      for (const Filter& child : filter.children) {
        ASSIGN_OR_RETURN(VidSet more, Combine(child));
        any |= more;
      }
      return any;
    }
    case Filter::Op::kNot: {
      ASSIGN_OR_RETURN(VidSet without, Combine(filter.children[0]));
      VidSet rest = live_;
      rest -= without;
      return rest;
    }
    default: return Leaf(filter);
  }
}

absl::StatusOr<VidSet> FilterCompiler::Leaf(const Filter& leaf) const {
  VidSet out;
  if (leaf.op == Filter::Op::kExists) return ScanField(leaf.field);
  if (leaf.op == Filter::Op::kNe) {
    Filter equal = leaf;
    equal.op = Filter::Op::kEq;
    ASSIGN_OR_RETURN(VidSet without, Leaf(equal));
    VidSet rest = live_;
    rest -= without;
    return rest;
  }
  if (leaf.op == Filter::Op::kEq || leaf.op == Filter::Op::kIn) {
    for (const Scalar& value : leaf.values) RETURN_IF_ERROR(ScanEqual(leaf, value, &out));
    return out;
  }
  // An order or a prefix: a range within the value's type. Cut strings are each asked.
  const Scalar& bound = leaf.values[0];
  const bool is_string = std::holds_alternative<std::string>(bound);
  const std::string field = FieldPrefix(collection_, leaf.field);
  const std::string type = field + (is_string ? kTypeString : TypeOf(bound));
  std::string at = type;
  AppendValue(bound, &at);
  std::string begin = type, end = storage::PrefixEnd(type);
  if (leaf.op == Filter::Op::kGt || leaf.op == Filter::Op::kGe) {
    begin = at;
  } else if (leaf.op == Filter::Op::kLt || leaf.op == Filter::Op::kLe) {
    end = storage::PrefixEnd(at);
  } else {
    begin = at.substr(0, at.size() - 2);  // without the string's end mark
    end = storage::PrefixEnd(begin);
  }
  RETURN_IF_ERROR(ScanRange(leaf, type, begin, end, &out));
  if (is_string) {
    const std::string cut = field + kTypeCutString;
    RETURN_IF_ERROR(ScanRange(leaf, cut, cut, storage::PrefixEnd(cut), &out));
  }
  return out;
}

absl::Status FilterCompiler::ScanEqual(const Filter& leaf, const Scalar& value, VidSet* out) const {
  std::string prefix = FieldPrefix(collection_, leaf.field);
  prefix.push_back(TypeOf(value));
  AppendValue(value, &prefix);
  return ScanRange(leaf, prefix, prefix, storage::PrefixEnd(prefix), out);
}

absl::Status FilterCompiler::ScanRange(const Filter& leaf, const std::string& prefix, const std::string& begin,
                                       const std::string& end, VidSet* out) const {
  const size_t value_at = FieldPrefix(collection_, leaf.field).size();
  auto it = store_.NewIterator(storage::Table::kFields, prefix);
  std::string decided;  // the value that `answer` is for
  bool answer = false;
  for (it->Seek(begin); it->Valid() && (end.empty() || it->key() < absl::string_view(end)); it->Next()) {
    const absl::string_view key = it->key();
    if (key.size() < value_at + 1 + kVidBytes) return absl::DataLossError("kFields: a key is too short");
    const absl::string_view value = key.substr(value_at, key.size() - value_at - kVidBytes);
    const uint64_t vid = VidOfKey(key);
    if (value[0] == kTypeCutString || value != absl::string_view(decided)) {
      ASSIGN_OR_RETURN(answer, Decide(leaf, value, vid));
      decided = std::string(value);
    }
    if (answer) out->Add(vid);
  }
  return it->status();
}

// Whether a row's value satisfies the leaf: by the value where the row holds all of it, else by the
// record.
absl::StatusOr<bool> FilterCompiler::Decide(const Filter& leaf, absl::string_view encoded, uint64_t vid) const {
  const char type = encoded[0];
  encoded.remove_prefix(1);
  if (type == kTypeCutString) {
    if (!live_.Contains(vid)) return false;
    ASSIGN_OR_RETURN(const Metadata metadata, metadata_of_(vid));
    return Matches(leaf, metadata);
  }
  if (type == kTypeEmptyList) return false;
  if (type == kTypeBool && encoded.size() == 1) return Matches(leaf, OneField(leaf.field, Scalar(encoded[0] != 0)));
  if (type == kTypeNumber && encoded.size() == 10) {
    return Matches(leaf, OneField(leaf.field, ReadNumber(encoded)));
  }
  if (type == kTypeString) {
    ASSIGN_OR_RETURN(std::string text, storage::ReadKeyString(&encoded));
    return Matches(leaf, OneField(leaf.field, Scalar(std::move(text))));
  }
  return absl::DataLossError(absl::StrCat("kFields: a row of field \"", leaf.field, "\" is malformed"));
}

absl::StatusOr<VidSet> FilterCompiler::ScanField(absl::string_view field) const {
  VidSet out;
  auto it = store_.NewIterator(storage::Table::kFields, FieldPrefix(collection_, field));
  for (; it->Valid(); it->Next()) out.Add(VidOfKey(it->key()));
  RETURN_IF_ERROR(it->status());
  return out;
}

absl::StatusOr<VidSet> FilterCompiler::CompileTenant(absl::string_view tenant) const {
  VidSet out;
  if (tenant.empty()) {
    out = live_;
    ASSIGN_OR_RETURN(const VidSet owned, ScanField(""));
    out -= owned;
    return out;
  }
  Filter leaf;
  leaf.op = Filter::Op::kEq;
  leaf.values = {Scalar(std::string(tenant))};
  RETURN_IF_ERROR(ScanEqual(leaf, leaf.values[0], &out));
  out &= live_;
  return out;
}

}  // namespace larder
