#include <bit>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "tools/readers/document_reader.h"

namespace larder::tools {
namespace {

// http://www.isthe.com/chongo/tech/comp/fnv/
class Fnv1a {
 public:
  void Add(uint64_t value) {
    for (int i = 0; i < 8; ++i) AddByte(static_cast<uint8_t>(value >> (8 * i)));
  }
  // With its length: "ab" and "c" are not "a" and "bc".
  void Add(absl::string_view text) {
    Add(uint64_t{text.size()});
    for (char c : text) AddByte(static_cast<uint8_t>(c));
  }
  void AddMetadata(const Metadata& metadata) {
    Add(uint64_t{metadata.size()});
    for (const auto& [field, value] : metadata) {
      Add(field);
      Add(uint64_t{value.is_list});
      Add(uint64_t{value.values.size()});
      for (const Scalar& scalar : value.values) AddScalar(scalar);
    }
  }
  void AddChunk(const GivenChunk& chunk) {
    Add(chunk.text);
    Add(chunk.section);
    Add(uint64_t{chunk.span.has_value()});
    if (chunk.span) Add(chunk.span->begin), Add(chunk.span->end);
    AddMetadata(chunk.metadata);
    Add(uint64_t{chunk.vectors.size()});
    for (const auto& [space, vector] : chunk.vectors) {
      Add(space);
      Add(uint64_t{vector.size()});
      for (float value : vector) Add(uint64_t{std::bit_cast<uint32_t>(value)});
    }
  }
  uint64_t hash() const { return hash_; }

 private:
  void AddScalar(const Scalar& scalar) {
    Add(uint64_t{scalar.index()});
    if (const auto* flag = std::get_if<bool>(&scalar)) Add(uint64_t{*flag});
    if (const auto* integer = std::get_if<int64_t>(&scalar)) Add(static_cast<uint64_t>(*integer));
    if (const auto* decimal = std::get_if<double>(&scalar)) Add(std::bit_cast<uint64_t>(*decimal));
    if (const auto* text = std::get_if<std::string>(&scalar)) Add(absl::string_view(*text));
  }
  void AddByte(uint8_t byte) { hash_ = (hash_ ^ byte) * 0x100000001b3ull; }

  uint64_t hash_ = 0xcbf29ce484222325ull;
};

}  // namespace

uint64_t ContentHash(const Document& document) {
  Fnv1a hash;
  for (absl::string_view text : {absl::string_view(document.id), absl::string_view(document.tenant),
                                 absl::string_view(document.title), absl::string_view(document.text),
                                 absl::string_view(document.uri), absl::string_view(document.media_type)}) {
    hash.Add(text);
  }
  hash.AddMetadata(document.metadata);
  hash.Add(static_cast<uint64_t>(document.expires_at_ms));
  hash.Add(uint64_t{document.chunks.size()});
  for (const GivenChunk& chunk : document.chunks) hash.AddChunk(chunk);
  return hash.hash();
}

}  // namespace larder::tools
