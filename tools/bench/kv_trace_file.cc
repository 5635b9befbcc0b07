#include "tools/bench/kv_trace_file.h"

#include <lzma.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "storage/status_macros.h"

namespace larder::tools {
namespace {

constexpr uint64_t kBlockTokens = 512;  // of the mooncake traces
constexpr uint32_t kLeastTokens = 64, kMostTokens = 1'024;
constexpr absl::string_view kXzMagic("\xfd" "7zXZ\0", 6);

// Gives each new name the next number.
template <typename Name>
class Numbering {
 public:
  uint32_t operator()(Name name) {
    return numbers_.try_emplace(std::move(name), static_cast<uint32_t>(numbers_.size())).first->second;
  }
  size_t size() const { return numbers_.size(); }

 private:
  absl::flat_hash_map<Name, uint32_t> numbers_;
};

void DrawSizes(size_t objects, uint64_t seed, KvTrace* trace) {
  std::mt19937_64 random(seed);
  trace->tokens.resize(objects);
  for (uint32_t& tokens : trace->tokens) {
    tokens = kLeastTokens + static_cast<uint32_t>(random() % (kMostTokens - kLeastTokens + 1));
  }
  trace->sizes = absl::StrCat("assumed: ", kLeastTokens, " to ", kMostTokens,
                              " tokens, drawn uniformly once an object, seed ", seed);
}

absl::StatusOr<KvTrace> ReadMooncake(const std::string& text, const std::string& path) {
  KvTrace trace;
  trace.sizes = "as recorded: blocks of 512 input tokens, the last of a request shorter";
  Numbering<uint64_t> number;
  int line_number = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    ++line_number;
    if (line.empty()) continue;
    const auto json = nlohmann::json::parse(line, nullptr, false);
    if (!json.is_object() || !json.value("input_length", nlohmann::json()).is_number_unsigned() ||
        !json.value("hash_ids", nlohmann::json()).is_array()) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ", line ", line_number, ": expected input_length and hash_ids"));
    }
    uint64_t left = json["input_length"];
    for (const auto& id : json["hash_ids"]) {
      if (!id.is_number_unsigned() || left == 0) {
        return absl::InvalidArgumentError(absl::StrCat(path, ", line ", line_number, ": expected one id a block of ",
                                                       kBlockTokens, " tokens of input_length"));
      }
      const uint64_t tokens = std::min(left, kBlockTokens);
      left -= tokens;
      const uint32_t object = number(id.get<uint64_t>());
      if (object == trace.tokens.size()) trace.tokens.push_back(static_cast<uint32_t>(tokens));
      trace.requests.push_back(object);
    }
  }
  return trace;
}

KvTrace ReadQueries(const std::string& text, uint64_t seed) {
  KvTrace trace;
  Numbering<std::string> number;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    const size_t colon = line.find(':');
    const bool numbered = colon != line.npos && colon > 0 &&
                          line.substr(0, colon).find_first_not_of("0123456789") == line.npos;
    if (numbered) line.remove_prefix(colon + 1);
    if (!line.empty()) trace.requests.push_back(number(std::string(line)));
  }
  DrawSizes(number.size(), seed, &trace);
  return trace;
}

absl::StatusOr<std::string> Unpack(const std::string& packed, const std::string& path) {
  lzma_stream stream = LZMA_STREAM_INIT;
  if (lzma_stream_decoder(&stream, uint64_t{1} << 30, 0) != LZMA_OK) {
    return absl::InternalError("liblzma: no decoder");
  }
  std::string out;
  std::vector<uint8_t> piece(1 << 16);
  stream.next_in = reinterpret_cast<const uint8_t*>(packed.data());
  stream.avail_in = packed.size();
  lzma_ret result = LZMA_OK;
  while (result == LZMA_OK) {
    stream.next_out = piece.data();
    stream.avail_out = piece.size();
    result = lzma_code(&stream, LZMA_FINISH);
    out.append(reinterpret_cast<const char*>(piece.data()), piece.size() - stream.avail_out);
  }
  lzma_end(&stream);
  if (result == LZMA_STREAM_END) return out;
  return absl::DataLossError(absl::StrCat(path, ": xz stream is damaged (liblzma ", result, ")"));
}

absl::StatusOr<KvTrace> ReadInt32(const std::string& bytes, uint64_t seed, const std::string& path) {
  if (bytes.size() % 4 != 0) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", bytes.size(), " bytes, expected a multiple of 4"));
  }
  KvTrace trace;
  Numbering<uint32_t> number;
  for (size_t i = 0; i < bytes.size(); i += 4) {
    uint32_t id = 0;
    for (size_t k = 0; k < 4; ++k) id = id << 8 | static_cast<uint8_t>(bytes[i + k]);
    trace.requests.push_back(number(id));
  }
  DrawSizes(number.size(), seed, &trace);
  return trace;
}

std::string Detect(const std::string& path, const std::string& text) {
  if (absl::EndsWith(path, ".jsonl") || absl::StartsWith(text, "{")) return "mooncake";
  return absl::EndsWith(path, ".txt") ? "queries" : "int32";
}

}  // namespace

absl::StatusOr<KvTrace> ReadKvTrace(const std::string& path, const std::string& format, uint64_t seed) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return absl::NotFoundError(absl::StrCat(path, ": cannot be read"));
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (absl::StartsWith(text, kXzMagic)) {
    ASSIGN_OR_RETURN(text, Unpack(text, path));
  }
  const std::string kind = format == "auto" ? Detect(path, text) : format;
  absl::StatusOr<KvTrace> trace = absl::InvalidArgumentError(
      absl::StrCat("trace format: found '", kind, "', expected auto, mooncake, queries or int32"));
  if (kind == "mooncake") trace = ReadMooncake(text, path);
  if (kind == "queries") trace = ReadQueries(text, seed);
  if (kind == "int32") trace = ReadInt32(text, seed, path);
  if (trace.ok() && trace->requests.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": holds no requests"));
  }
  return trace;
}

}  // namespace larder::tools
