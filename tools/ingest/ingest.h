// One ingestion, from its arguments to its summary.
#ifndef LARDER_TOOLS_INGEST_INGEST_H_
#define LARDER_TOOLS_INGEST_INGEST_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tools/ingest/arguments.h"
#include "tools/ingest/pipeline.h"

namespace larder::tools {

struct IngestReport {
  IngestSummary summary;
  absl::Duration elapsed;
  bool resumed = false;        // an earlier run had stored part of it
  uint64_t sources_done = 0;   // left alone, since an earlier run stored them and they are unchanged
  uint64_t unknown_files = 0;  // passed over for their extension
};

// Refuses what cannot be done before it stores anything. What goes wrong later stands in
// summary.status. `cancelled` is polled; `warn` gets a line for each document that is left out.
absl::StatusOr<IngestReport> RunIngest(const IngestArguments& arguments,
                                       const std::function<bool()>& cancelled,
                                       const std::function<void(const std::string&)>& warn);

// In the database's directory; for a server, under $XDG_STATE_HOME or ~/.local/state.
absl::StatusOr<std::string> DefaultStatePath(const Address& address, const std::string& collection);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_INGEST_INGEST_H_
