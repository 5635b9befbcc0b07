// Tells ThreadSanitizer about absl::Mutex. Debian's Abseil is a shared library built without it, so
// that every access under an absl::Mutex looks like a race; the test binary of a TSan build defines
// the functions below, the loader takes them in place of the library's, and they pass the call on.
// Linked into tests of TSan builds only.
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace {

// The library's own function.
template <typename Function>
Function* Next(const char* mangled) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, mangled));
}

void BeforeLock(void* mutex, unsigned flags = 0) { __tsan_mutex_pre_lock(mutex, flags); }
void AfterLock(void* mutex, unsigned flags = 0) { __tsan_mutex_post_lock(mutex, flags, 0); }
void BeforeUnlock(void* mutex, unsigned flags = 0) { __tsan_mutex_pre_unlock(mutex, flags); }
void AfterUnlock(void* mutex, unsigned flags = 0) { __tsan_mutex_post_unlock(mutex, flags); }

// A wait gives the mutex up and takes it again.
class Waiting {
 public:
  explicit Waiting(void* mutex) : mutex_(mutex) {
    BeforeUnlock(mutex_);
    AfterUnlock(mutex_);
  }
  ~Waiting() {
    BeforeLock(mutex_);
    AfterLock(mutex_);
  }

 private:
  void* mutex_;
};

}  // namespace

namespace absl {
ABSL_NAMESPACE_BEGIN

#define NEXT_MUTEX(name, signature) "_ZN4absl7debian35Mutex" name "E" signature

void Mutex::Lock() {
  static auto* next = Next<void(Mutex*)>(NEXT_MUTEX("4Lock", "v"));
  BeforeLock(this);
  next(this);
  AfterLock(this);
}
void Mutex::Unlock() {
  static auto* next = Next<void(Mutex*)>(NEXT_MUTEX("6Unlock", "v"));
  BeforeUnlock(this);
  next(this);
  AfterUnlock(this);
}
bool Mutex::TryLock() {
  static auto* next = Next<bool(Mutex*)>(NEXT_MUTEX("7TryLock", "v"));
  BeforeLock(this, __tsan_mutex_try_lock);
  const bool locked = next(this);
  AfterLock(this, __tsan_mutex_try_lock | (locked ? 0 : __tsan_mutex_try_lock_failed));
  return locked;
}
void Mutex::ReaderLock() {
  static auto* next = Next<void(Mutex*)>(NEXT_MUTEX("10ReaderLock", "v"));
  BeforeLock(this, __tsan_mutex_read_lock);
  next(this);
  AfterLock(this, __tsan_mutex_read_lock);
}
void Mutex::ReaderUnlock() {
  static auto* next = Next<void(Mutex*)>(NEXT_MUTEX("12ReaderUnlock", "v"));
  BeforeUnlock(this, __tsan_mutex_read_lock);
  next(this);
  AfterUnlock(this, __tsan_mutex_read_lock);
}
void Mutex::Await(const Condition& condition) {
  static auto* next = Next<void(Mutex*, const Condition&)>(NEXT_MUTEX("5Await", "RKNS0_9ConditionE"));
  const Waiting waiting(this);
  next(this, condition);
}
bool Mutex::AwaitWithTimeout(const Condition& condition, Duration timeout) {
  static auto* next = Next<bool(Mutex*, const Condition&, Duration)>(
      NEXT_MUTEX("16AwaitWithTimeout", "RKNS0_9ConditionENS0_8DurationE"));
  const Waiting waiting(this);
  return next(this, condition, timeout);
}
bool Mutex::AwaitWithDeadline(const Condition& condition, Time deadline) {
  static auto* next = Next<bool(Mutex*, const Condition&, Time)>(
      NEXT_MUTEX("17AwaitWithDeadline", "RKNS0_9ConditionENS0_4TimeE"));
  const Waiting waiting(this);
  return next(this, condition, deadline);
}
void CondVar::Wait(Mutex* mutex) {
  static auto* next = Next<void(CondVar*, Mutex*)>("_ZN4absl7debian37CondVar4WaitEPNS0_5MutexE");
  const Waiting waiting(mutex);
  next(this, mutex);
}
bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  static auto* next = Next<bool(CondVar*, Mutex*, Duration)>(
      "_ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE");
  const Waiting waiting(mutex);
  return next(this, mutex, timeout);
}
bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) {
  static auto* next =
      Next<bool(CondVar*, Mutex*, Time)>("_ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE");
  const Waiting waiting(mutex);
  return next(this, mutex, deadline);
}

ABSL_NAMESPACE_END
}  // namespace absl
