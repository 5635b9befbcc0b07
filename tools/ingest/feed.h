// What larder-ingest reads: documents out of files of text, or one document for each row of a matrix.
#ifndef LARDER_TOOLS_INGEST_FEED_H_
#define LARDER_TOOLS_INGEST_FEED_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "tools/readers/document_reader.h"
#include "tools/readers/source_list.h"

namespace larder::tools {

// Single-threaded.
class Feed {
 public:
  virtual ~Feed() = default;
  // The next document, absent at the end; errors as DocumentReader::Next.
  virtual absl::StatusOr<std::optional<SourcedDocument>> Next() = 0;
  virtual ReadMark mark() const = 0;  // behind the last document
  virtual const SourceList& sources() const = 0;
  virtual uint64_t skipped() const = 0;
};

std::unique_ptr<Feed> MakeDocumentFeed(SourceList sources, DocumentReaderOptions options);

struct MatrixFeedOptions {
  std::string format;    // extension that says what the file is; "" = its own
  std::string ids_path;  // a line for each row; "" = the row's number
  std::string tenant;
  std::string vector_space = "default";
};

// The matrix as a source: its offsets count bytes of rows, so that they tell how much is done.
absl::StatusOr<Source> MatrixSource(const std::string& path, const MatrixFeedOptions& options);
// The dimension of the matrix.
absl::StatusOr<uint32_t> MatrixDimension(const std::string& path, const MatrixFeedOptions& options);
// Begins at the source's start_offset. InvalidArgument unless there is one id for each row, none empty.
absl::StatusOr<std::unique_ptr<Feed>> MakeMatrixFeed(const Source& source, const MatrixFeedOptions& options);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_INGEST_FEED_H_
