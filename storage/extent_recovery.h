// What happens to extent files when the store opens: the directory is held against Table::kExtents,
// the ledger is filled, and what nothing refers to is reclaimed.
#ifndef LARDER_STORAGE_EXTENT_RECOVERY_H_
#define LARDER_STORAGE_EXTENT_RECOVERY_H_

#include <string>

#include "absl/status/status.h"
#include "storage/extent_ledger.h"
#include "storage/store.h"

namespace larder::storage {

// `ledger` must be empty. Nothing is reclaimed where a row cannot be read, nor while the rows that
// were seen could still be lost (their commit is made durable first), nor from the tail of a file
// that a backup shares (a hard link); what cannot be reclaimed now is left to garbage collection.
absl::Status RecoverExtents(const std::string& directory, Store* store, ExtentLedger* ledger);

}  // namespace larder::storage

#endif  // LARDER_STORAGE_EXTENT_RECOVERY_H_
