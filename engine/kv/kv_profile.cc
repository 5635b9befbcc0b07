#include "engine/kv/kv_profile.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "engine/kv/kv_entry.h"
#include "engine/kv/kv_keys.h"
#include "storage/coding.h"
#include "storage/status_macros.h"

namespace larder::kv {
namespace {

constexpr uint8_t kProfileVersion = 2;  // 1 had no rope_frequencies
constexpr char kCatalogPrefix[] = "kv-profile/";
constexpr size_t kMaxNameBytes = 1'024;
constexpr size_t kMaxTemplateBytes = 65'536;
constexpr uint32_t kMaxHeads = 1'024;
constexpr uint32_t kMaxHeadDim = 4'096;

constexpr absl::string_view kDtypeNames[] = {"f32", "f16", "bf16"};
constexpr absl::string_view kCodecNames[] = {"raw", "int8", "int4", "mixed"};
constexpr absl::string_view kRopeNames[] = {"none", "neox", "interleaved"};

absl::Status BadField(absl::string_view field, absl::string_view found, absl::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat("kv profile: ", field, " is ", found, ", expected ", expected));
}

absl::Status CheckText(absl::string_view field, absl::string_view value, size_t most, bool required) {
  if (value.size() > most || (required && value.empty())) {
    return BadField(field, absl::StrCat(value.size(), " bytes"),
                    absl::StrCat(required ? "1 to " : "at most ", most));
  }
  if (value.find('\0') != absl::string_view::npos) return BadField(field, "text with a NUL byte", "none");
  return absl::OkStatus();
}

absl::Status CheckTexts(const KvProfile& profile) {
  RETURN_IF_ERROR(CheckText("model", profile.model, kMaxNameBytes, true));
  RETURN_IF_ERROR(CheckText("model_revision", profile.model_revision, kMaxNameBytes, false));
  RETURN_IF_ERROR(CheckText("tokenizer", profile.tokenizer, kMaxNameBytes, false));
  RETURN_IF_ERROR(CheckText("tokenizer_revision", profile.tokenizer_revision, kMaxNameBytes, false));
  RETURN_IF_ERROR(CheckText("adapter", profile.adapter, kMaxNameBytes, false));
  RETURN_IF_ERROR(CheckText("rope_scaling", profile.rope_scaling, kMaxTemplateBytes, false));
  RETURN_IF_ERROR(CheckText("prompt_template", profile.prompt_template, kMaxTemplateBytes, false));
  if (!profile.weights_sha256.empty() && !ProfileBytes(profile.weights_sha256).ok()) {
    return BadField("weights_sha256", absl::StrCat("'", absl::CHexEscape(profile.weights_sha256), "'"),
                    "\"\" or 64 lower-case hex digits");
  }
  if (std::find(std::begin(kCodecNames), std::end(kCodecNames), profile.codec) == std::end(kCodecNames)) {
    return BadField("codec", absl::StrCat("'", absl::CHexEscape(profile.codec), "'"),
                    absl::StrCat("one of ", absl::StrJoin(kCodecNames, ", ")));
  }
  return absl::OkStatus();
}

absl::Status CheckRange(absl::string_view field, uint64_t found, uint64_t least, uint64_t most) {
  if (found >= least && found <= most) return absl::OkStatus();
  return BadField(field, absl::StrCat(found), absl::StrCat(least, " to ", most));
}

absl::Status CheckRope(const KvProfile& profile) {
  if (!std::isfinite(profile.rope_theta) || profile.rope_theta <= 0) {
    return BadField("rope_theta", absl::StrCat(profile.rope_theta), "a finite number above 0");
  }
  const bool none = profile.rope_style == RopeStyle::kNone;
  const uint32_t rotated = profile.rotary_dim == 0 ? profile.head_dim : profile.rotary_dim;
  if (!none && rotated % 2 != 0) {
    return BadField("rotary_dim", absl::StrCat(rotated), "an even number: RoPE turns pairs");
  }
  if (profile.rope_frequencies.empty()) return absl::OkStatus();
  if (none || profile.rope_frequencies.size() != rotated / 2) {
    return BadField("rope_frequencies", absl::StrCat(profile.rope_frequencies.size(), " numbers"),
                    none ? "none: the profile has no RoPE" : absl::StrCat(rotated / 2, ", one a pair"));
  }
  for (const double frequency : profile.rope_frequencies) {
    if (std::isfinite(frequency) && frequency >= 0) continue;
    return BadField("rope_frequencies", absl::StrCat(frequency), "finite numbers, 0 or more");
  }
  return absl::OkStatus();
}

absl::Status CheckNumbers(const KvProfile& profile) {
  RETURN_IF_ERROR(CheckRange("dtype", static_cast<uint64_t>(profile.dtype), 0, std::size(kDtypeNames) - 1));
  RETURN_IF_ERROR(
      CheckRange("rope_style", static_cast<uint64_t>(profile.rope_style), 0, std::size(kRopeNames) - 1));
  RETURN_IF_ERROR(CheckRange("layers", profile.layers, 1, kMaxLayers));
  RETURN_IF_ERROR(CheckRange("kv_heads", profile.kv_heads, 1, kMaxHeads));
  RETURN_IF_ERROR(CheckRange("head_dim", profile.head_dim, 1, kMaxHeadDim));
  RETURN_IF_ERROR(CheckRange("rotary_dim", profile.rotary_dim, 0, profile.head_dim));
  RETURN_IF_ERROR(CheckRange("sliding_window", profile.sliding_window, 0, 1u << 30));
  return CheckRope(profile);
}

// JSON's string, with every byte outside printable ASCII escaped: injective, also for broken UTF-8.
std::string Quoted(absl::string_view value) {
  std::string out = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (c < 0x20 || c > 0x7e) {
      absl::StrAppendFormat(&out, "\\x%02x", static_cast<unsigned char>(c));
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
  return out;
}

template <size_t n>
std::string EnumText(const absl::string_view (&names)[n], uint8_t value) {
  return value < n ? Quoted(names[value]) : absl::StrCat(value);
}

std::string CatalogKey(absl::string_view profile_id) { return absl::StrCat(kCatalogPrefix, profile_id); }

}  // namespace

absl::Status ValidateProfile(const KvProfile& profile) {
  RETURN_IF_ERROR(CheckTexts(profile));
  return CheckNumbers(profile);
}

std::string CanonicalProfile(const KvProfile& profile) {
  std::map<std::string, std::string> fields = {
      {"adapter", Quoted(profile.adapter)},
      {"codec", Quoted(profile.codec)},
      {"dtype", EnumText(kDtypeNames, static_cast<uint8_t>(profile.dtype))},
      {"head_dim", absl::StrCat(profile.head_dim)},
      {"k_before_rope", profile.k_before_rope ? "true" : "false"},
      {"kv_heads", absl::StrCat(profile.kv_heads)},
      {"layers", absl::StrCat(profile.layers)},
      {"model", Quoted(profile.model)},
      {"model_revision", Quoted(profile.model_revision)},
      {"prompt_template", Quoted(profile.prompt_template)},
      {"rope_scaling", Quoted(profile.rope_scaling)},
      {"rope_style", EnumText(kRopeNames, static_cast<uint8_t>(profile.rope_style))},
      {"rope_theta", absl::StrFormat("%.17g", profile.rope_theta)},
      {"rotary_dim", absl::StrCat(profile.rotary_dim)},
      {"sliding_window", absl::StrCat(profile.sliding_window)},
      {"tokenizer", Quoted(profile.tokenizer)},
      {"tokenizer_revision", Quoted(profile.tokenizer_revision)},
      {"weights_sha256", Quoted(profile.weights_sha256)},
  };
  // Left out where there are none, so that profiles from before they existed keep their ids.
  if (!profile.rope_frequencies.empty()) {
    fields["rope_frequencies"] = absl::StrCat("[",
                                              absl::StrJoin(profile.rope_frequencies, ",",
                                                            [](std::string* out, double frequency) {
                                                              absl::StrAppendFormat(out, "%.17g", frequency);
                                                            }),
                                              "]");
  }
  return absl::StrCat("{",
                      absl::StrJoin(fields, ",",
                                    [](std::string* out, const auto& field) {
                                      absl::StrAppend(out, "\"", field.first, "\":", field.second);
                                    }),
                      "}");
}

std::string ProfileId(const KvProfile& profile) {
  return absl::BytesToHexString(Sha256(CanonicalProfile(profile)));
}

std::string EncodeProfile(const KvProfile& profile) {
  storage::RecordWriter writer(kProfileVersion);
  writer.Bytes(profile.model);
  writer.Bytes(profile.model_revision);
  writer.Bytes(profile.weights_sha256);
  writer.Bytes(profile.tokenizer);
  writer.Bytes(profile.tokenizer_revision);
  writer.Bytes(profile.adapter);
  writer.U8(static_cast<uint8_t>(profile.dtype));
  writer.U32(profile.layers);
  writer.U32(profile.kv_heads);
  writer.U32(profile.head_dim);
  writer.U8(static_cast<uint8_t>(profile.rope_style));
  writer.Double(profile.rope_theta);
  writer.U32(profile.rotary_dim);
  writer.Bytes(profile.rope_scaling);
  writer.U8(profile.k_before_rope ? 1 : 0);
  writer.U32(profile.sliding_window);
  writer.Bytes(profile.prompt_template);
  writer.Bytes(profile.codec);
  writer.Varint(profile.rope_frequencies.size());
  for (const double frequency : profile.rope_frequencies) writer.Double(frequency);
  return std::move(writer).Finish();
}

absl::StatusOr<KvProfile> DecodeProfile(absl::string_view record, absl::string_view what) {
  storage::RecordReader reader(record, kProfileVersion, what);
  KvProfile profile;
  profile.model = std::string(reader.Bytes());
  profile.model_revision = std::string(reader.Bytes());
  profile.weights_sha256 = std::string(reader.Bytes());
  profile.tokenizer = std::string(reader.Bytes());
  profile.tokenizer_revision = std::string(reader.Bytes());
  profile.adapter = std::string(reader.Bytes());
  profile.dtype = static_cast<KvDtype>(reader.U8());
  profile.layers = reader.U32();
  profile.kv_heads = reader.U32();
  profile.head_dim = reader.U32();
  profile.rope_style = static_cast<RopeStyle>(reader.U8());
  profile.rope_theta = reader.Double();
  profile.rotary_dim = reader.U32();
  profile.rope_scaling = std::string(reader.Bytes());
  profile.k_before_rope = reader.U8() != 0;
  profile.sliding_window = reader.U32();
  profile.prompt_template = std::string(reader.Bytes());
  profile.codec = std::string(reader.Bytes());
  const uint64_t frequencies = reader.version() == 1 ? 0 : reader.Varint();
  if (frequencies > kMaxHeadDim) {
    return absl::DataLossError(absl::StrCat(what, ": ", frequencies, " RoPE frequencies"));
  }
  for (uint64_t i = 0; i < frequencies; ++i) profile.rope_frequencies.push_back(reader.Double());
  RETURN_IF_ERROR(reader.status());
  if (!reader.AtEnd()) return absl::DataLossError(absl::StrCat(what, ": bytes follow the last field"));
  if (const absl::Status valid = ValidateProfile(profile); !valid.ok()) {
    return absl::DataLossError(absl::StrCat(what, ": ", valid.message()));
  }
  return profile;
}

absl::StatusOr<std::string> ProfileCatalog::Register(const KvProfile& profile) {
  RETURN_IF_ERROR(ValidateProfile(profile));
  const std::string id = ProfileId(profile);
  const auto known = Get(id);
  if (known.ok()) return id;
  if (!absl::IsNotFound(known.status())) return known.status();
  storage::WriteBatch batch;
  batch.Put(storage::Table::kCatalog, CatalogKey(id), EncodeProfile(profile));
  RETURN_IF_ERROR(store_->Write(std::move(batch)).status());
  return id;
}

absl::StatusOr<std::shared_ptr<const KvProfile>> ProfileCatalog::Get(absl::string_view profile_id) const {
  RETURN_IF_ERROR(ProfileBytes(profile_id).status());
  {
    absl::MutexLock lock(&mu_);
    if (const auto it = cache_.find(profile_id); it != cache_.end()) return it->second;
  }
  const auto record = store_->Get(storage::Table::kCatalog, CatalogKey(profile_id));
  if (absl::IsNotFound(record.status())) {
    return absl::NotFoundError(absl::StrCat("kv profile ", profile_id, " is not registered"));
  }
  RETURN_IF_ERROR(record.status());
  const std::string what = absl::StrCat("kv profile ", profile_id);
  ASSIGN_OR_RETURN(KvProfile decoded, DecodeProfile(*record, what));
  if (const std::string id = ProfileId(decoded); id != profile_id) {
    return absl::DataLossError(absl::StrCat(what, ": its record has id ", id));
  }
  auto profile = std::make_shared<const KvProfile>(std::move(decoded));
  absl::MutexLock lock(&mu_);
  return cache_.emplace(profile_id, std::move(profile)).first->second;
}

absl::StatusOr<std::vector<std::string>> ProfileCatalog::List() const {
  std::vector<std::string> ids;
  const auto it = store_->NewIterator(storage::Table::kCatalog, kCatalogPrefix);
  for (; it->Valid(); it->Next()) ids.emplace_back(absl::StripPrefix(it->key(), kCatalogPrefix));
  RETURN_IF_ERROR(it->status());
  return ids;
}

}  // namespace larder::kv
