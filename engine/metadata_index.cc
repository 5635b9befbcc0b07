#include "engine/metadata_index.h"

#include <algorithm>

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

KeyRange WholePrefix(std::string prefix, bool one_value) {
  std::string end = storage::PrefixEnd(prefix);
  return {prefix, prefix, std::move(end), one_value};
}

bool IsOrder(Filter::Op op) {
  return op == Filter::Op::kLt || op == Filter::Op::kLe || op == Filter::Op::kGt || op == Filter::Op::kGe;
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

FilterCompiler::FilterCompiler(PostingCache* postings, uint32_t collection, const VidSet& live, MetadataOf metadata_of)
    : postings_(*postings), collection_(collection), live_(live), metadata_of_(std::move(metadata_of)) {}

absl::StatusOr<VidSet> FilterCompiler::Compile(const Filter& filter) const {
  ASSIGN_OR_RETURN(const Vids found, Combine(filter));
  VidSet matches = *found;
  matches &= live_;
  return matches;
}

absl::StatusOr<FilterCompiler::Vids> FilterCompiler::Combine(const Filter& filter) const {
  switch (filter.op) {
    case Filter::Op::kAnd: return And(filter);
    case Filter::Op::kOr: return Or(filter);
    case Filter::Op::kNot: return Not(Combine(filter.children[0]));
    default: return Leaf(filter);
  }
}

// Bounds on one field with one number a vid are one window: no bitmap of all that lies above its lower bound is
// made, nor of all below the upper.
absl::StatusOr<FilterCompiler::Vids> FilterCompiler::And(const Filter& filter) const {
  std::vector<Vids> sets;
  std::vector<KeyRange> windows;
  for (const Filter& child : filter.children) {
    const bool number = IsOrder(child.op) && TypeOf(child.values[0]) == kTypeNumber;
    bool one_a_vid = false;
    if (number) {
      ASSIGN_OR_RETURN(one_a_vid, postings_.OneNumberAVid(RangeOf(child).prefix));
    }
    if (!one_a_vid) {
      ASSIGN_OR_RETURN(Vids set, Combine(child));
      if (set->empty()) return set;
      sets.push_back(std::move(set));
      continue;
    }
    const KeyRange range = RangeOf(child);
    const auto same = [&](const KeyRange& other) { return other.prefix == range.prefix; };
    const auto window = std::find_if(windows.begin(), windows.end(), same);
    if (window == windows.end()) {
      windows.push_back(range);
    } else {
      window->begin = std::max(window->begin, range.begin);
      window->end = std::min(window->end, range.end);
    }
  }
  for (const KeyRange& window : windows) {
    ASSIGN_OR_RETURN(Vids set, postings_.Numbers(window));
    sets.push_back(std::move(set));
  }
  if (sets.empty()) return std::make_shared<VidSet>(live_);
  if (sets.size() == 1) return sets[0];
  std::sort(sets.begin(), sets.end(), [](const Vids& a, const Vids& b) { return a->size() < b->size(); });
  auto all = std::make_shared<VidSet>(*sets[0]);
  for (size_t i = 1; i < sets.size(); ++i) *all &= *sets[i];
  return all;
}

absl::StatusOr<FilterCompiler::Vids> FilterCompiler::Or(const Filter& filter) const {
  if (filter.children.size() == 1) return Combine(filter.children[0]);
  auto any = std::make_shared<VidSet>();
  for (const Filter& child : filter.children) {
    ASSIGN_OR_RETURN(const Vids more, Combine(child));
    *any |= *more;
  }
  return any;
}

absl::StatusOr<FilterCompiler::Vids> FilterCompiler::Not(absl::StatusOr<Vids> without) const {
  RETURN_IF_ERROR(without.status());
  auto rest = std::make_shared<VidSet>(live_);
  *rest -= **without;
  return rest;
}

absl::StatusOr<FilterCompiler::Vids> FilterCompiler::Leaf(const Filter& leaf) const {
  switch (leaf.op) {
    case Filter::Op::kExists: return postings_.Rows(WholePrefix(FieldPrefix(collection_, leaf.field), false));
    case Filter::Op::kEq:
    case Filter::Op::kIn: return Equal(leaf);
    case Filter::Op::kNe: {
      Filter equal = leaf;
      equal.op = Filter::Op::kEq;
      return Not(Equal(equal));
    }
    default: return Range(leaf);
  }
}

absl::StatusOr<FilterCompiler::Vids> FilterCompiler::Equal(const Filter& leaf) const {
  std::vector<Vids> sets;
  for (const Scalar& value : leaf.values) {
    std::string prefix = FieldPrefix(collection_, leaf.field);
    prefix.push_back(TypeOf(value));
    AppendValue(value, &prefix);
    const KeyRange range = WholePrefix(std::move(prefix), true);
    ASSIGN_OR_RETURN(Vids set, IsCut(value) ? MatchCut(leaf, range) : postings_.Rows(range));
    sets.push_back(std::move(set));
  }
  if (sets.size() == 1) return sets[0];
  auto any = std::make_shared<VidSet>();
  for (const Vids& set : sets) *any |= *set;
  return any;
}

KeyRange FilterCompiler::RangeOf(const Filter& leaf) const {
  const Scalar& bound = leaf.values[0];
  const bool is_string = std::holds_alternative<std::string>(bound);
  std::string type = FieldPrefix(collection_, leaf.field);
  type.push_back(is_string ? kTypeString : TypeOf(bound));
  std::string at = type;
  AppendValue(bound, &at);
  KeyRange range = WholePrefix(type, false);
  // A cut bound lies behind the whole string that is as much of it as rows hold, and before all others behind that.
  const bool cut = IsCut(bound);
  switch (leaf.op) {
    case Filter::Op::kLt: range.end = cut ? storage::PrefixEnd(at) : at; break;
    case Filter::Op::kLe: range.end = storage::PrefixEnd(at); break;
    case Filter::Op::kGt: range.begin = storage::PrefixEnd(at); break;
    case Filter::Op::kGe: range.begin = cut ? storage::PrefixEnd(at) : at; break;
    default:
      range.begin = at.substr(0, at.size() - 2);  // without the string's end mark
      range.end = cut ? range.begin : storage::PrefixEnd(range.begin);
  }
  return range;
}

absl::StatusOr<FilterCompiler::Vids> FilterCompiler::Range(const Filter& leaf) const {
  KeyRange range = RangeOf(leaf);
  const char type = TypeOf(leaf.values[0]);
  if (type == kTypeNumber) return postings_.Numbers(range);
  if (type == kTypeBool) return postings_.Rows(range);
  ASSIGN_OR_RETURN(Vids whole, postings_.Rows(range));
  std::string cut = FieldPrefix(collection_, leaf.field);
  cut.push_back(kTypeCutString);
  ASSIGN_OR_RETURN(const Vids rest, MatchCut(leaf, WholePrefix(std::move(cut), false)));
  if (rest->empty()) return whole;
  auto both = std::make_shared<VidSet>(*whole);
  *both |= *rest;
  return both;
}

absl::StatusOr<FilterCompiler::Vids> FilterCompiler::MatchCut(const Filter& leaf, const KeyRange& range) const {
  ASSIGN_OR_RETURN(const Vids cut, postings_.Rows(range));
  auto matches = std::make_shared<VidSet>();
  absl::Status status;
  cut->ForEach([&](uint64_t vid) {
    if (!live_.Contains(vid)) return true;
    const absl::StatusOr<Metadata> metadata = metadata_of_(vid);
    status = metadata.status();
    if (status.ok() && Matches(leaf, *metadata)) matches->Add(vid);
    return status.ok();
  });
  RETURN_IF_ERROR(status);
  return matches;
}

absl::StatusOr<VidSet> FilterCompiler::CompileTenant(absl::string_view tenant) const {
  if (tenant.empty()) {
    ASSIGN_OR_RETURN(const Vids owned, postings_.Rows(WholePrefix(FieldPrefix(collection_, ""), false)));
    VidSet out = live_;
    out -= *owned;
    return out;
  }
  Filter leaf;
  leaf.op = Filter::Op::kEq;
  leaf.values = {Scalar(std::string(tenant))};
  ASSIGN_OR_RETURN(const Vids owned, Equal(leaf));
  VidSet out = live_;
  out &= *owned;
  return out;
}

}  // namespace larder
