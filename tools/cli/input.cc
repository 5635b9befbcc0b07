#include "tools/cli/input.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "storage/status_macros.h"
#include "tools/cli/json.h"
#include "tools/readers/matrix_reader.h"

namespace larder::tools {
namespace {

constexpr uint64_t kMaxDimension = 65536;

}  // namespace

absl::StatusOr<std::string> ReadInput(const std::string& path) {
  const bool standard = path == "-";
  std::unique_ptr<FILE, int (*)(FILE*)> file(standard ? stdin : std::fopen(path.c_str(), "rb"),
                                             standard ? [](FILE*) { return 0; } : &std::fclose);
  if (file == nullptr) return absl::NotFoundError(absl::StrCat(path, ": ", std::strerror(errno)));
  std::string text;
  char block[1 << 16];
  while (const size_t read = std::fread(block, 1, sizeof(block), file.get())) text.append(block, read);
  if (std::ferror(file.get()) != 0) {
    return absl::UnavailableError(absl::StrCat(path, ": ", std::strerror(errno)));
  }
  return text;
}

absl::StatusOr<std::vector<float>> ParseVector(absl::string_view text) {
  std::vector<float> vector;
  for (absl::string_view part : absl::StrSplit(text, ',')) {
    part = absl::StripAsciiWhitespace(part);
    float value = 0;
    if (!absl::SimpleAtof(part, &value)) {
      return absl::InvalidArgumentError(
          absl::StrCat("vector element ", vector.size(), ": expected a number, found \"", part, "\""));
    }
    vector.push_back(value);
  }
  return vector;
}

absl::StatusOr<std::vector<float>> ReadVectorFile(const std::string& path) {
  ASSIGN_OR_RETURN(const std::unique_ptr<MatrixReader> matrix, MatrixReader::Open(path));
  const bool flat = matrix->dim() == 1;  // an array of one dimension: each number is a row
  const uint64_t numbers = flat ? matrix->rows() : matrix->dim();
  if ((!flat && matrix->rows() != 1) || numbers == 0 || numbers > kMaxDimension) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": expected one vector of 1 to ", kMaxDimension,
                                                   " numbers, found ", matrix->rows(), " rows of ",
                                                   matrix->dim()));
  }
  std::vector<float> vector(numbers);
  RETURN_IF_ERROR(matrix->Read(0, matrix->rows(), vector.data()));
  return vector;
}

absl::StatusOr<std::vector<float>> VectorFromFlags(const std::string& values, const std::string& path) {
  if (!values.empty()) return ParseVector(values);
  if (!path.empty()) return ReadVectorFile(path);
  return std::vector<float>();
}

absl::StatusOr<std::vector<int32_t>> ParseTokens(absl::string_view text) {
  absl::string_view list = absl::StripAsciiWhitespace(text);
  if (list.size() >= 2 && list.front() == '[' && list.back() == ']') list = list.substr(1, list.size() - 2);
  std::vector<int32_t> tokens;
  for (absl::string_view part : absl::StrSplit(list, ',')) {
    part = absl::StripAsciiWhitespace(part);
    int32_t token = 0;
    if (!absl::SimpleAtoi(part, &token)) {
      return absl::InvalidArgumentError(
          absl::StrCat("token ", tokens.size(), ": expected an integer, found \"", part, "\""));
    }
    tokens.push_back(token);
  }
  return tokens;
}

absl::StatusOr<Metadata> ParseMetadataFlags(const std::vector<std::string>& flags) {
  Json object = Json::object();
  for (const std::string& flag : flags) {
    const size_t equals = flag.find('=');
    if (equals == std::string::npos || equals == 0) {
      return absl::InvalidArgumentError(absl::StrCat("--meta ", flag, ": expected FIELD=VALUE"));
    }
    const std::string value = flag.substr(equals + 1);
    Json parsed = Json::parse(value, nullptr, /*allow_exceptions=*/false);
    const bool is_json = !parsed.is_discarded() && !parsed.is_null() && !parsed.is_object();
    object[flag.substr(0, equals)] = is_json ? std::move(parsed) : Json(value);
  }
  return MetadataFromJson(object);
}

}  // namespace larder::tools
