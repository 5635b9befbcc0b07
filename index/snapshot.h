// The snapshot file of an index: a header with a table of sections, each section checksummed.
//
//   offset  size  (little endian)
//   0       8     magic "LARDRIDX"
//   8       4     format version, 2
//   12      4     number of sections, at most 12
//   16      4     kind; 20 metric; 24 dimension; 28 m; 32 ef_construction; 36 code
//   40      8     seed
//   48      8     count: rows held, tombstones included
//   56      8     entry: hnsw's entry point
//   64      8     max_level: hnsw's
//   72      12x24 sections: id u32, crc32c u32, offset u64, length u64; unused ones zero
//   360     4     prefix
//   364     4     crc32c of bytes 0 to 363
//   368           the sections, without gaps, in table order, to the end of the file
#ifndef LARDER_INDEX_SNAPSHOT_H_
#define LARDER_INDEX_SNAPSHOT_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "index/vector_index.h"
#include "storage/posix_file.h"

namespace larder::index {

// Numbers are part of the format.
enum class SectionId : uint32_t {
  kTag = 1,         // the caller's bytes
  kVids = 2,        // flat: u64 a row
  kTombstones = 3,  // u8 a row: 1 = removed
  kRows = 4,        // flat: f32[dimension] a row
  kLevels = 5,      // hnsw: u8 a row
  kElements = 6,    // hnsw: header and links of layer 0, an element (hnsw/graph.h)
  kUpperLinks = 7,  // hnsw: links of layers 1 to level, an element
  kTails = 8,       // hnsw: vid, duplicate, place of the upper lists, an element
  kCode = 9,        // hnsw: how the rows are coded (hnsw/vector_rows.h)
  kWalkRows = 10,   // hnsw: what walks read of a row
  kResiduals = 11,  // hnsw: the rest of it
};

struct SnapshotHeader {
  IndexOptions options;
  uint64_t count = 0;
  uint64_t entry = 0;
  uint64_t max_level = 0;
};

// Writes aside and renames at Finish; whatever is unfinished is deleted. Memory: one small buffer.
// Single-threaded.
class SnapshotWriter {
 public:
  static absl::StatusOr<SnapshotWriter> Create(const std::string& path);
  SnapshotWriter(SnapshotWriter&&) = default;
  ~SnapshotWriter();

  // Each section once; bytes appended afterwards belong to it. Errors are kept until Finish.
  void BeginSection(SectionId id);
  void Append(const void* data, uint64_t size);
  void Append(absl::string_view bytes) { Append(bytes.data(), bytes.size()); }
  // Header, fdatasync, rename, fsync of the directory. ResourceExhausted when the disk is full.
  absl::Status Finish(const SnapshotHeader& header);

 private:
  struct Section {
    SectionId id;
    uint32_t crc32c = 0;
    uint64_t length = 0;
  };
  SnapshotWriter(std::string path, storage::Descriptor file);
  std::string Aside() const { return path_ + ".tmp"; }
  void Flush();
  void WriteOut(const char* data, uint64_t size, uint64_t offset);
  std::string EncodeHeader(const SnapshotHeader& header) const;

  std::string path_;
  storage::Descriptor file_;  // open until Finish has succeeded
  uint64_t offset_;           // of the buffer in the file
  std::string buffer_;
  std::vector<Section> sections_;
  absl::Status status_;
};

// Reads a snapshot section by section, into memory of the caller's. Every error but NotFound (no
// such file) and Unavailable (I/O) is DataLoss naming file, offset, expected and found.
// Single-threaded.
class SnapshotReader {
 public:
  // Checks the header and that the sections fill the file exactly: afterwards no length in it
  // exceeds the file's.
  static absl::StatusOr<SnapshotReader> Open(const std::string& path);
  const SnapshotHeader& header() const { return header_; }
  // Opens a section whose length must be `unit` times `count` (the product may overflow: refused).
  absl::Status BeginSection(SectionId id, uint64_t unit, uint64_t count);
  // Bytes left in the open section.
  uint64_t remaining() const { return end_ - offset_; }
  absl::StatusOr<uint64_t> SectionLength(SectionId id) const;
  absl::Status Read(void* data, uint64_t size);
  // Everything must have been read; compares the checksum.
  absl::Status EndSection();
  absl::StatusOr<std::string> ReadTag();
  absl::Status Damaged(absl::string_view what) const;

 private:
  struct Section {
    SectionId id;
    uint32_t crc32c;
    uint64_t offset, length;
  };
  SnapshotReader(std::string path, storage::Descriptor file)
      : path_(std::move(path)), file_(std::move(file)) {}
  absl::Status ReadHeader();
  absl::Status DecodeHeader(absl::string_view bytes, uint64_t file_size);
  absl::StatusOr<Section> Find(SectionId id) const;

  std::string path_;
  storage::Descriptor file_;
  SnapshotHeader header_;
  std::vector<Section> sections_;
  Section open_{};
  uint64_t offset_ = 0, end_ = 0;
  uint32_t crc32c_ = 0;
};

// InvalidArgument unless a snapshot of `found` may serve an index opened with `expected`.
absl::Status CheckSameOptions(const IndexOptions& expected, const IndexOptions& found);

}  // namespace larder::index

#endif  // LARDER_INDEX_SNAPSHOT_H_
