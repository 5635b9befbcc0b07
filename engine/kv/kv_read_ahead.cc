#include "engine/kv/kv_read_ahead.h"

#include <system_error>
#include <utility>

#include "absl/types/span.h"

namespace larder::kv {

ReadAhead::ReadAhead(const storage::ExtentStore* extents, std::vector<storage::ExtentPointer> pointers,
                     uint64_t max_bytes)
    : extents_(extents), pointers_(std::move(pointers)), max_bytes_(max_bytes) {
  uint64_t bytes = 0;
  for (const storage::ExtentPointer& pointer : pointers_) bytes += pointer.length;
  if (bytes <= kAloneBytes) return;
  try {
    thread_.emplace([this] { Work(); });
  } catch (const std::system_error&) {
    // None can be had.
  }
}

ReadAhead::~ReadAhead() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  if (thread_.has_value()) thread_->join();
}

absl::StatusOr<std::string> ReadAhead::Next() {
  if (!thread_.has_value() && taken_ == read_) ReadSome();
  ++taken_;
  absl::MutexLock lock(&mu_);
  mu_.Await(absl::Condition(this, &ReadAhead::HasNext));
  absl::StatusOr<std::string> next = std::move(ready_.front());
  ready_.pop_front();
  if (next.ok()) ready_bytes_ -= next->size();
  return next;
}

void ReadAhead::Work() {
  while (read_ < pointers_.size()) {
    {
      absl::MutexLock lock(&mu_);
      mu_.Await(absl::Condition(this, &ReadAhead::HasRoom));
      if (stopping_) return;
    }
    ReadSome();
  }
}

void ReadAhead::ReadSome() {
  const auto lay_up = [this](size_t, absl::StatusOr<std::string> payload) {
    absl::MutexLock lock(&mu_);
    if (payload.ok()) ready_bytes_ += payload->size();
    ready_.push_back(std::move(payload));
    ++read_;
    return !stopping_ && ready_bytes_ < max_bytes_;
  };
  using Start = storage::ExtentStore::Start;
  const Start start = read_ == 0 ? Start::kFirstSoon : Start::kAllAtOnce;
  extents_->Stream(absl::MakeConstSpan(pointers_).subspan(read_), lay_up, start);
}

}  // namespace larder::kv
