// Reads every live extent and holds files and rows against each other.
#ifndef LARDER_STORAGE_EXTENT_VERIFY_H_
#define LARDER_STORAGE_EXTENT_VERIFY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/extent_ledger.h"
#include "storage/extent_reader.h"
#include "storage/extent_rows.h"

namespace larder::storage {

// One run, beside whatever else goes on. Single-threaded.
class ExtentVerifier {
 public:
  ExtentVerifier(const std::string& directory, const Store& store, const ExtentLedger& ledger,
                 ExtentReader* reader, std::vector<std::string>* problems)
      : directory_(directory), store_(store), ledger_(ledger), reader_(reader), problems_(problems) {}

  // As ExtentStore::Verify.
  absl::StatusOr<uint64_t> Run();

 private:
  void CheckHeaders();
  void CheckRow(const absl::StatusOr<ExtentRow>& row);
  void ReadBatch();

  const std::string& directory_;
  const Store& store_;
  const ExtentLedger& ledger_;
  ExtentReader* const reader_;
  std::vector<std::string>* const problems_;

  ExtentPointer previous_;  // the row before; file 0: none
  std::vector<ExtentRow> batch_;
  uint64_t batch_bytes_ = 0;
  uint64_t checked_ = 0;
};

}  // namespace larder::storage

#endif  // LARDER_STORAGE_EXTENT_VERIFY_H_
