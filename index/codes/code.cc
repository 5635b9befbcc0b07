#include "index/codes/code.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "index/codes/code_format.h"
#include "storage/status_macros.h"

namespace larder::index {
namespace {

constexpr uint32_t kMaxDimension = 65536;

struct KindName {
  CodeKind kind;
  absl::string_view name;
  enum { kNothing, kBits, kParts } number;  // what may follow the name
};
// A name that is another's beginning comes after it.
constexpr KindName kKinds[] = {
    {CodeKind::kF32, "f32", KindName::kNothing},     {CodeKind::kF16, "f16", KindName::kNothing},
    {CodeKind::kSq4x8, "sq4x8", KindName::kNothing}, {CodeKind::kSq8, "sq8", KindName::kNothing},
    {CodeKind::kSq4, "sq4", KindName::kNothing},     {CodeKind::kOpq, "opq", KindName::kParts},
    {CodeKind::kPq, "pq", KindName::kParts},         {CodeKind::kBinary, "binary", KindName::kBits},
    {CodeKind::kRabitq, "rabitq", KindName::kBits},
};

const KindName* NameOf(CodeKind kind) {
  for (const KindName& known : kKinds) {
    if (known.kind == kind) return &known;
  }
  return nullptr;
}

absl::Status CheckRange(absl::string_view what, uint32_t value, uint32_t low, uint32_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("code: ", what, " ", value, ", expected ", low, " to ", high));
}

CodeOptions WithDefaults(CodeOptions options) {
  const bool parts = options.kind == CodeKind::kPq || options.kind == CodeKind::kOpq;
  if (options.kind == CodeKind::kRabitq && options.bits == 0) options.bits = 4;
  if (options.kind == CodeKind::kBinary && options.bits == 0) options.bits = 2;
  if (parts && options.parts == 0) options.parts = options.dimension < 4 ? 1 : options.dimension / 4;
  return options;
}

}  // namespace

absl::Status CodeOptions::Validate() const {
  const KindName* known = NameOf(kind);
  if (known == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("code: unknown kind ", static_cast<int>(kind)));
  }
  if (metric > Metric::kL2) {
    return absl::InvalidArgumentError(absl::StrCat("code: unknown metric ", static_cast<int>(metric)));
  }
  RETURN_IF_ERROR(CheckRange("dimension", dimension, 1, kMaxDimension));
  RETURN_IF_ERROR(CheckRange("bits", bits, 0, kind == CodeKind::kRabitq ? 8 : kind == CodeKind::kBinary ? 4 : 0));
  return CheckRange("parts", parts, 0, known->number == KindName::kParts ? dimension : 0);
}

absl::StatusOr<std::unique_ptr<Code>> TrainCode(const CodeOptions& given, absl::Span<const float> sample) {
  RETURN_IF_ERROR(given.Validate());
  const CodeOptions options = WithDefaults(given);
  switch (options.kind) {
    case CodeKind::kSq8:
    case CodeKind::kSq4:
    case CodeKind::kSq4x8:
      return TrainScalarCode(options, sample);
    case CodeKind::kF32:
    case CodeKind::kF16:
      return MakePlainCode(options);
    case CodeKind::kPq:
    case CodeKind::kOpq:
      return TrainPqCode(options, sample);
    case CodeKind::kBinary:
    case CodeKind::kRabitq:
      break;
  }
  return TrainBitCode(options, sample);
}

namespace {

CodeOr ParseLearned(const CodeOptions& options, storage::RecordReader* reader) {
  switch (options.kind) {
    case CodeKind::kSq8:
    case CodeKind::kSq4:
    case CodeKind::kSq4x8:
      return ParseScalarCode(options, reader);
    case CodeKind::kF32:
    case CodeKind::kF16:
      return MakePlainCode(options);
    case CodeKind::kPq:
    case CodeKind::kOpq:
      return ParsePqCode(options, reader);
    case CodeKind::kBinary:
    case CodeKind::kRabitq:
      break;
  }
  return ParseBitCode(options, reader);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Code>> ParseCode(absl::string_view bytes) {
  storage::RecordReader reader(bytes, kCodeFormatVersion, "code");
  CodeOptions options;
  options.kind = static_cast<CodeKind>(reader.U8());
  options.metric = static_cast<Metric>(reader.U8());
  options.dimension = reader.U32();
  options.bits = reader.U32();
  options.parts = reader.U32();
  options.seed = reader.U64();
  RETURN_IF_ERROR(reader.status());
  if (const absl::Status valid = options.Validate(); !valid.ok()) return absl::DataLossError(valid.message());
  const CodeOptions complete = WithDefaults(options);
  if (complete.bits != options.bits || complete.parts != options.parts) {
    return absl::DataLossError("code: bits or parts are missing");
  }
  CodeOr code = ParseLearned(options, &reader);
  if (code.ok() && !reader.AtEnd()) return absl::DataLossError("code: bytes after the end");
  return code;
}

std::string CodeName(const CodeOptions& options) {
  const KindName* known = NameOf(options.kind);
  if (known == nullptr) return absl::StrCat("kind", static_cast<int>(options.kind));
  const uint32_t number = known->number == KindName::kBits    ? options.bits
                          : known->number == KindName::kParts ? options.parts
                                                              : 0;
  return number == 0 ? std::string(known->name) : absl::StrCat(known->name, number);
}

absl::StatusOr<CodeOptions> ParseCodeName(absl::string_view name, uint32_t dimension, Metric metric) {
  for (const KindName& known : kKinds) {
    absl::string_view rest = name;
    if (!absl::ConsumePrefix(&rest, known.name)) continue;
    CodeOptions options{known.kind, dimension, metric};
    uint32_t number = 0;
    if (!rest.empty() && (known.number == KindName::kNothing || !absl::SimpleAtoi(rest, &number) || number == 0)) {
      break;
    }
    (known.number == KindName::kBits ? options.bits : options.parts) = number;
    RETURN_IF_ERROR(options.Validate());
    return options;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("code \"", name, "\": expected f32, f16, sq8, sq4, sq4x8, pq<parts>, opq<parts>, ",
                   "binary<rounds> or rabitq<bits>"));
}

}  // namespace larder::index
