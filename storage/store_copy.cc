// How the store copies itself while it goes on working.
#include <rocksdb/utilities/checkpoint.h>

#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"
#include "storage/store_impl.h"

namespace larder::storage {

absl::Status StoreImpl::Checkpoint(absl::string_view target,
                                   const std::function<absl::Status()>& while_held) {
  ASSIGN_OR_RETURN(const std::shared_ptr<Rocks> rocks, Open());
  const Layout copy(target);
  if (PathExists(copy.directory)) {
    return absl::AlreadyExistsError(absl::StrCat(copy.directory, ": a checkpoint's target must not exist"));
  }
  RETURN_IF_ERROR(MakeDirectories(files_, copy.directory));
  // Most of what is in memory is flushed here, so that commits are held back only for the rest.
  absl::Status status = rocks->Flush();
  if (status.ok()) {
    status = commits_.Exclusively([&] { return CopyWhileHeld(copy, while_held); });
  }
  if (status.ok()) status = WriteFormat(files_, copy);  // last: it says that the rest is whole
  if (!status.ok()) RemoveTree(copy.directory).IgnoreError();
  return status;
}

absl::Status StoreImpl::CopyWhileHeld(const Layout& target, const std::function<absl::Status()>& while_held) {
  ASSIGN_OR_RETURN(const std::shared_ptr<Rocks> rocks, Open());
  rocksdb::Checkpoint* raw = nullptr;
  RETURN_IF_ERROR(FromRocks(rocksdb::Checkpoint::Create(rocks->db(), &raw), "begin a checkpoint"));
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(raw);
  RETURN_IF_ERROR(FromRocks(checkpoint->CreateCheckpoint(target.rocks),  // flushes, whatever the log's size
                            absl::StrCat("checkpoint the store to ", target.rocks)));
  if (while_held != nullptr) RETURN_IF_ERROR(while_held());
  CommitMark mark{{identity_, state()}, {}};
  ASSIGN_OR_RETURN(mark.manifest, FindManifest(target.rocks));
  return WriteMarkFile(files_, target.committed, mark);
}

}  // namespace larder::storage
