// The command line of larder-ingest.
#ifndef LARDER_TOOLS_INGEST_ARGUMENTS_H_
#define LARDER_TOOLS_INGEST_ARGUMENTS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "larder/options.h"
#include "tools/backend.h"

namespace larder::tools {

struct IngestArguments {
  Address address;
  std::string collection;
  std::vector<std::string> paths;

  bool create = false;
  std::string embedder;       // "" = minilm, or none where the input is vectors
  CollectionOptions options;  // of the collection to create; its first space is the one filled
  uint32_t dimension = 0;     // 0 = the embedder's, or the matrix's

  std::string format;  // "" = by extension
  std::string ids;
  std::string tenant;
  std::string space = "default";
  bool extra_fields_to_metadata = false;
  bool skip_bad = false;

  size_t batch = 0;  // documents; 0 = 64, or 1,000 of vectors
  size_t in_flight = 3;
  bool sync = true;
  std::string state;  // "" = DefaultStatePath
  bool restart = false;
  bool json = false;
  bool quiet = false;
};

// The exit code, where the program ends with parsing (help, version, wrong usage).
std::optional<int> ParseIngestArguments(int argc, char** argv, IngestArguments* arguments);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_INGEST_ARGUMENTS_H_
