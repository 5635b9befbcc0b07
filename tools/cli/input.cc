#include "tools/cli/input.h"

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "storage/status_macros.h"
#include "tools/cli/json.h"

namespace larder::tools {
namespace {

absl::Status BadNpy(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("not a .npy vector: ", what));
}

float FromHalf(uint16_t half) {
  const int exponent = (half >> 10) & 0x1F;
  const int mantissa = half & 0x3FF;
  const float sign = (half & 0x8000) != 0 ? -1.0f : 1.0f;
  if (exponent == 0x1F) return mantissa == 0 ? sign * INFINITY : NAN;
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(mantissa), -24);
  return sign * std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
}

template <typename Element, typename Convert>
absl::StatusOr<std::vector<float>> Elements(absl::string_view data, uint64_t count, Convert convert) {
  if (data.size() != count * sizeof(Element)) {
    return BadNpy(absl::StrCat("expected ", count * sizeof(Element), " bytes of data, found ", data.size()));
  }
  std::vector<float> vector(count);
  for (uint64_t i = 0; i < count; ++i) {
    Element element;
    std::memcpy(&element, data.data() + i * sizeof(Element), sizeof(Element));
    vector[i] = static_cast<float>(convert(element));
  }
  return vector;
}

// What follows `'key':` in the header's Python dictionary, without leading spaces.
absl::string_view HeaderValue(absl::string_view header, absl::string_view key) {
  const std::string quoted = absl::StrCat("'", key, "':");
  const size_t at = header.find(quoted);
  if (at == absl::string_view::npos) return "";
  return absl::StripLeadingAsciiWhitespace(header.substr(at + quoted.size()));
}

// Elements in a shape such as "(3,)" or "(1, 3)".
absl::StatusOr<uint64_t> VectorLength(absl::string_view shape) {
  shape = shape.substr(0, shape.find(')'));
  std::vector<uint64_t> sizes;
  for (absl::string_view part : absl::StrSplit(shape.substr(shape.empty() ? 0 : 1), ',')) {
    uint64_t size = 0;
    part = absl::StripAsciiWhitespace(part);
    if (part.empty()) continue;
    if (!absl::SimpleAtoi(part, &size)) return BadNpy(absl::StrCat("shape ", shape, ")"));
    sizes.push_back(size);
  }
  if (sizes.size() == 2 && sizes[0] == 1) sizes.erase(sizes.begin());
  if (sizes.size() != 1 || sizes[0] == 0 || sizes[0] > 65536) {
    return BadNpy(absl::StrCat("shape ", shape, "), expected (n,) or (1, n) with n from 1 to 65,536"));
  }
  return sizes[0];
}

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

absl::StatusOr<std::vector<float>> ParseNpyVector(absl::string_view bytes) {
  constexpr absl::string_view kMagic("\x93NUMPY", 6);
  if (bytes.size() < 10 || bytes.substr(0, 6) != kMagic) return BadNpy("it does not start with \\x93NUMPY");
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(bytes[i])); };
  const bool wide = byte(6) >= 2;
  if (byte(6) < 1 || byte(6) > 3 || (wide && bytes.size() < 12)) {
    return BadNpy(absl::StrCat("version ", byte(6), ", expected 1 to 3"));
  }
  uint64_t header_bytes = byte(8) | byte(9) << 8;
  if (wide) header_bytes |= byte(10) << 16 | byte(11) << 24;
  const size_t header_at = wide ? 12 : 10;
  if (bytes.size() - header_at < header_bytes) return BadNpy("it ends within its header");
  const absl::string_view header = bytes.substr(header_at, header_bytes);
  const absl::string_view data = bytes.substr(header_at + header_bytes);
  ASSIGN_OR_RETURN(const uint64_t count, VectorLength(HeaderValue(header, "shape")));
  const absl::string_view type = HeaderValue(header, "descr").substr(0, 5);
  if (type == "'<f4'") return Elements<float>(data, count, [](float x) { return x; });
  if (type == "'<f8'") return Elements<double>(data, count, [](double x) { return x; });
  if (type == "'<f2'") return Elements<uint16_t>(data, count, FromHalf);
  return BadNpy(absl::StrCat("elements of type ", type, ", expected '<f4', '<f8' or '<f2'"));
}

absl::StatusOr<std::vector<float>> VectorFromFlags(const std::string& values, const std::string& npy_path) {
  if (!values.empty()) return ParseVector(values);
  if (npy_path.empty()) return std::vector<float>();
  ASSIGN_OR_RETURN(const std::string bytes, ReadInput(npy_path));
  absl::StatusOr<std::vector<float>> vector = ParseNpyVector(bytes);
  if (vector.ok()) return vector;
  return absl::InvalidArgumentError(absl::StrCat(npy_path, ": ", vector.status().message()));
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
