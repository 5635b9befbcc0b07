#include "tools/backend.h"

namespace larder::tools {

absl::StatusOr<std::unique_ptr<Backend>> OpenBackend(const Address& address, bool create_if_missing) {
  if (address.db.empty() == address.server.empty()) {
    return absl::InvalidArgumentError(
        "name one database: --db DIR (or $LARDER_DB) or --server HOST:PORT (or $LARDER_SERVER)");
  }
  if (!address.db.empty()) return OpenLocalBackend(address.db, create_if_missing);
  return OpenRemoteBackend(address.server);
}

}  // namespace larder::tools
