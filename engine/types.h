// The values that every way into Larder shares: documents, chunks, metadata, search requests and
// hits. Header-only and free of the engine, so that the client may use it without linking it.
//
// Everything here is a plain value: thread-compatible, copyable, owning.
#ifndef LARDER_TYPES_H_
#define LARDER_TYPES_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace larder {

// Distances are "smaller is closer" inside an index; scores shown to users are "larger is better".
enum class Metric : uint8_t {
  kCosine = 0,  // score = cos(q, x), in [-1, 1]
  kDot = 1,     // score = q . x
  kL2 = 2,      // score = -|q - x|^2
};

enum class IndexKind : uint8_t { kAuto = 0, kFlat = 1, kHnsw = 2, kTree = 3 };  // kTree: on disk

// One metadata value. A list matches a predicate if any of its elements does.
using Scalar = std::variant<bool, int64_t, double, std::string>;
struct MetadataValue {
  std::vector<Scalar> values;  // one element unless is_list
  bool is_list = false;

  MetadataValue() = default;
  MetadataValue(Scalar v) : values{std::move(v)} {}                              // NOLINT
  MetadataValue(const char* v) : values{std::string(v)} {}                       // NOLINT
  MetadataValue(std::string v) : values{std::move(v)} {}                         // NOLINT
  MetadataValue(bool v) : values{v} {}                                           // NOLINT
  MetadataValue(double v) : values{v} {}                                         // NOLINT
  MetadataValue(int64_t v) : values{v} {}                                        // NOLINT
  MetadataValue(int v) : values{static_cast<int64_t>(v)} {}                      // NOLINT
  explicit MetadataValue(std::vector<Scalar> list) : values(std::move(list)), is_list(true) {}
  friend bool operator==(const MetadataValue&, const MetadataValue&) = default;
};
using Metadata = std::map<std::string, MetadataValue>;

struct ByteSpan {
  uint64_t begin = 0;  // offset into the document's text, in bytes
  uint64_t end = 0;    // one past the last byte
  friend bool operator==(const ByteSpan&, const ByteSpan&) = default;
};

// A chunk the caller has cut himself. `vectors` maps a vector space's name to its values; a space
// that is absent is embedded by the collection's embedder, if it has one.
struct GivenChunk {
  std::string text;
  std::map<std::string, std::vector<float>> vectors;
  std::string section;                 // path such as "Guide > Install"
  std::optional<ByteSpan> span;        // into Document::text, when there is one
  Metadata metadata;                   // added to (and overriding) the document's
};

struct Document {
  std::string id;      // UTF-8, 1 to 1,024 bytes, no NUL
  std::string tenant;  // "" is the tenant of collections without tenants
  std::string title;
  std::string text;    // UTF-8, at most 16 MiB; chunked by the collection unless `chunks` is given
  std::string uri;
  std::string media_type = "text/plain";  // "text/plain", "text/markdown"
  Metadata metadata;
  std::vector<GivenChunk> chunks;
  int64_t expires_at_ms = 0;  // Unix time; 0 = never
  uint64_t version = 0;       // set by Larder: 1 at first, +1 for each upsert of the id
};

struct Chunk {
  uint64_t vid = 0;            // immutable id of this chunk version
  std::string document_id;
  std::string tenant;
  uint32_t ordinal = 0;        // place within the document, from 0
  ByteSpan span;
  std::string section;
  uint32_t token_count = 0;    // by the embedder's tokenizer
  std::string text;
  Metadata metadata;           // the document's, overridden by the chunk's own
};

// One document's outcome in a batch; `error` is empty when it was stored.
struct UpsertResult {
  std::string id;
  uint64_t version = 0;
  uint32_t chunks = 0;
  int error_code = 0;  // an absl::StatusCode
  std::string error;
};

struct SearchRequest {
  std::string text;           // embedded by the collection's embedder, or
  std::vector<float> vector;  // given; exactly one of the two
  std::string space;          // "" is the collection's first vector space
  uint32_t k = 10;            // 1 to 10,000
  std::string filter;         // expression, see engine/filter.h; "" matches all
  std::string tenant;         // only this tenant's chunks are seen
  uint32_t ef = 0;            // hnsw candidate list (ef in Malkov & Yashunin); 0 = collection's default; a tree has none
  double target_recall = 0;   // in (0, 1), instead of ef: share of the true k nearest to find, on average; a tree: 0 = 0.95
  bool exact = false;         // scan every match
  bool include_text = true;   // fill text, section, span, title and uri; false saves the store reads
  bool include_metadata = false, include_vector = false, timings = false;
  // A KV profile's id: the hits' entries under it are brought into shared memory in the background.
  std::string prefetch_kv;    // FailedPrecondition without shared memory, NotFound for an unknown profile
};

struct Hit {
  uint64_t vid = 0;
  std::string document_id;
  uint32_t ordinal = 0;
  float score = 0;             // larger is better, see Metric
  std::string title, uri, section, text;
  ByteSpan span;
  Metadata metadata;
  std::vector<float> vector;
};

struct StageTiming {
  std::string stage;  // "embed", "filter", "search", "fetch"
  double micros = 0;
};

// What a search of a tree read from disk; all 0 where no tree was searched.
struct SearchIo {
  uint32_t rounds = 0;      // of reads that wait for each other
  uint32_t reads = 0;       // of postings and pages of vectors
  uint64_t bytes = 0;
  uint32_t postings = 0;    // of which each is a list of codes
  uint32_t candidates = 0;  // ranked by their whole vectors
  friend bool operator==(const SearchIo&, const SearchIo&) = default;
};

struct SearchReply {
  std::vector<Hit> hits;         // min(k, matches) of them, best first
  std::string plan;              // how: "flat", "prefix", "graph", "filtered graph", "matches", "coded matches",
                                 // "tree", "filtered tree", "stored rows" (all, while a damaged tree is rebuilt)
  uint64_t matches = 0;          // chunks that passed filter and tenant; all live chunks if neither was given
  uint32_t ef = 0;               // of the graph walk; 0 where none was needed
  std::optional<double> recall_estimate;  // to be expected on average; none: filtered graph or tree, not calibrated
  SearchIo io;
  std::vector<StageTiming> timings;
};

struct ScrollRequest {
  std::string tenant;
  std::string filter;          // over document metadata; "" matches all
  std::string cursor;          // from the last reply; "" starts
  uint32_t limit = 100;        // 1 to 10,000 documents
  bool include_text = false;
};
struct ScrollReply {
  std::vector<Document> documents;  // in order of id
  std::string cursor;               // "" when there is no more
};

}  // namespace larder

#endif  // LARDER_TYPES_H_
