#include "engine/safetensors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the reference implementation's limit
constexpr size_t kAlignment = 8;
constexpr char kMetadataKey[] = "__metadata__";

absl::Status Errno(absl::string_view what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat(what, " ", path));
}

// Product of the shape times the element's size. False on overflow.
bool TensorBytes(const std::vector<uint64_t>& shape, uint64_t element, uint64_t* bytes) {
  *bytes = element;
  for (uint64_t n : shape) {
    if (__builtin_mul_overflow(*bytes, n, bytes)) return false;
  }
  return true;
}

// What parsing into a tree would hide or blow up on: a key given twice, and deep nesting.
class HeaderGuard {
 public:
  bool operator()(int depth, nlohmann::json::parse_event_t event, const nlohmann::json& parsed) {
    using Event = nlohmann::json::parse_event_t;
    if (event == Event::object_start || event == Event::array_start) {
      if (depth > kMaxDepth) return Refuse("nested too deeply");
      if (event == Event::object_start) keys_[depth].clear();
    } else if (event == Event::key && depth >= 1 && depth <= kMaxDepth + 1) {
      if (!keys_[depth - 1].insert(parsed.get<std::string>()).second) {
        return Refuse(absl::StrCat("key given twice: ", parsed.get<std::string>()));
      }
    }
    return true;
  }
  const std::string& fault() const { return fault_; }

 private:
  static constexpr int kMaxDepth = 2;
  bool Refuse(std::string fault) {
    if (fault_.empty()) fault_ = std::move(fault);
    return false;
  }
  std::set<std::string> keys_[kMaxDepth + 1];
  std::string fault_;
};

absl::StatusOr<nlohmann::json> ParseHeader(absl::string_view header) {
  HeaderGuard guard;
  nlohmann::json json = nlohmann::json::parse(
      header.begin(), header.end(),
      [&guard](int depth, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
        return guard(depth, event, parsed);
      },
      /*allow_exceptions=*/false);
  if (!guard.fault().empty()) return absl::DataLossError(guard.fault());
  if (json.is_discarded() || !json.is_object()) return absl::DataLossError("not a JSON object");
  return json;
}

bool ReadUnsigned(const nlohmann::json& array, std::vector<uint64_t>* out) {
  if (!array.is_array()) return false;
  for (const nlohmann::json& n : array) {
    if (!n.is_number_unsigned()) return false;
    out->push_back(n.get<uint64_t>());
  }
  return true;
}

// One entry of the header; `data` is what follows the header in the file.
absl::StatusOr<TensorView> ParseTensor(const std::string& name, const nlohmann::json& entry,
                                       absl::string_view data) {
  auto fault = [&name](const auto&... parts) {
    return absl::DataLossError(absl::StrCat("tensor ", name, ": ", parts...));
  };
  if (!entry.is_object() || entry.size() != 3 || !entry.contains("dtype") || !entry["dtype"].is_string() ||
      !entry.contains("shape") || !entry.contains("data_offsets")) {
    return fault("expected dtype, shape and data_offsets");
  }
  TensorView tensor{name, entry["dtype"].get<std::string>(), {}, {}};
  std::vector<uint64_t> offsets;
  if (!ReadUnsigned(entry["shape"], &tensor.shape)) return fault("shape is not a list of sizes");
  if (!ReadUnsigned(entry["data_offsets"], &offsets) || offsets.size() != 2) {
    return fault("data_offsets is not a pair of offsets");
  }
  const uint64_t element = SafetensorsDtypeBytes(tensor.dtype);
  if (element == 0) return fault("unknown dtype ", tensor.dtype);
  if (offsets[0] > offsets[1] || offsets[1] > data.size()) {
    return fault("bytes ", offsets[0], " to ", offsets[1], " are outside of the ", data.size(),
                 " in the file");
  }
  uint64_t bytes = 0;
  if (!TensorBytes(tensor.shape, element, &bytes)) return fault("shape overflows");
  if (bytes != offsets[1] - offsets[0]) {
    return fault(tensor.dtype, "[", absl::StrJoin(tensor.shape, ","), "] takes ", bytes, " bytes, found ",
                 offsets[1] - offsets[0]);
  }
  tensor.data = data.substr(offsets[0], bytes);
  return tensor;
}

absl::StatusOr<std::map<std::string, std::string>> ParseMetadata(const nlohmann::json& entry) {
  if (!entry.is_object()) return absl::DataLossError("__metadata__ is not an object");
  std::map<std::string, std::string> metadata;
  for (const auto& [key, value] : entry.items()) {
    if (!value.is_string())
      return absl::DataLossError(absl::StrCat("__metadata__ ", key, " is not a string"));
    metadata[key] = value.get<std::string>();
  }
  return metadata;
}

// Sorts by place, and refuses gaps and overlaps.
absl::Status OrderTensors(absl::string_view data, std::vector<TensorView>* tensors) {
  std::sort(tensors->begin(), tensors->end(), [](const TensorView& a, const TensorView& b) {
    return std::make_pair(a.data.data(), a.data.size()) < std::make_pair(b.data.data(), b.data.size());
  });
  const char* expected = data.data();
  for (const TensorView& tensor : *tensors) {
    if (tensor.data.data() != expected) {
      return absl::DataLossError(absl::StrCat("tensor ", tensor.name, ": begins at ",
                                              tensor.data.data() - data.data(), ", expected ",
                                              expected - data.data()));
    }
    expected += tensor.data.size();
  }
  if (expected != data.data() + data.size()) {
    return absl::DataLossError(absl::StrCat("tensors end at ", expected - data.data(), " of ", data.size()));
  }
  return absl::OkStatus();
}

// The header that describes `tensors` in this order, padded so that the data is aligned.
absl::StatusOr<std::string> BuildHeader(absl::Span<const TensorView* const> tensors,
                                        const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[kMetadataKey] = metadata;
  uint64_t offset = 0;
  for (const TensorView* tensor : tensors) {
    if (tensor->name == kMetadataKey || header.contains(tensor->name)) {
      return absl::InvalidArgumentError(absl::StrCat("tensor name ", tensor->name, " is taken"));
    }
    uint64_t bytes = 0;
    const uint64_t element = SafetensorsDtypeBytes(tensor->dtype);
    if (element == 0 || !TensorBytes(tensor->shape, element, &bytes) || bytes != tensor->data.size()) {
      return absl::InvalidArgumentError(absl::StrCat("tensor ", tensor->name, ": ", tensor->dtype, "[",
                                                     absl::StrJoin(tensor->shape, ","), "] does not take ",
                                                     tensor->data.size(), " bytes"));
    }
    header[tensor->name] = {
        {"dtype", tensor->dtype}, {"shape", tensor->shape}, {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception& e) {
    return absl::InvalidArgumentError(absl::StrCat("names and metadata must be UTF-8: ", e.what()));
  }
  text.append((kAlignment - text.size() % kAlignment) % kAlignment, ' ');
  if (text.size() > kMaxHeaderBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("header of ", text.size(), " bytes, at most ", kMaxHeaderBytes));
  }
  return text;
}

absl::Status WriteAll(int fd, absl::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Errno("writing", path);
    bytes.remove_prefix(n);
  }
  return absl::OkStatus();
}

absl::Status SyncDirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Errno("opening", directory);
  absl::Cleanup close = [fd] { ::close(fd); };
  return ::fsync(fd) == 0 ? absl::OkStatus() : Errno("syncing", directory);
}

// Creates `path`, which must not exist, with these bytes, durable.
absl::Status WriteNewFile(const std::string& path, absl::string_view header,
                          absl::Span<const TensorView* const> tensors) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return Errno("creating", path);
  absl::Cleanup close = [fd] { ::close(fd); };
  char length[8];
  for (int i = 0; i < 8; ++i) length[i] = static_cast<char>(header.size() >> (8 * i));
  RETURN_IF_ERROR(WriteAll(fd, absl::string_view(length, sizeof(length)), path));
  RETURN_IF_ERROR(WriteAll(fd, header, path));
  for (const TensorView* tensor : tensors) RETURN_IF_ERROR(WriteAll(fd, tensor->data, path));
  return ::fsync(fd) == 0 ? absl::OkStatus() : Errno("syncing", path);
}

}  // namespace

struct SafetensorsFile::Mapping {
  explicit Mapping(absl::string_view bytes) : bytes(bytes) {}
  ~Mapping() { ::munmap(const_cast<char*>(bytes.data()), bytes.size()); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  const absl::string_view bytes;
};

absl::string_view SafetensorsFile::contents() const { return mapping_->bytes; }

void SafetensorsFile::DropPages() const {
  const absl::string_view bytes = contents();
  ::madvise(const_cast<char*>(bytes.data()), bytes.size(), MADV_DONTNEED);  // advice: may be refused
}

size_t SafetensorsDtypeBytes(absl::string_view dtype) {
  static constexpr std::pair<absl::string_view, size_t> kTypes[] = {
      {"F64", 8}, {"I64", 8}, {"U64", 8},     {"F32", 4},     {"I32", 4}, {"U32", 4}, {"F16", 2}, {"BF16", 2},
      {"I16", 2}, {"U16", 2}, {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"I8", 1},  {"U8", 1},  {"BOOL", 1}};
  for (const auto& [name, bytes] : kTypes) {
    if (name == dtype) return bytes;
  }
  return 0;
}

absl::StatusOr<SafetensorsFile> SafetensorsFile::Open(const std::string& path) {
  // O_NONBLOCK: a pipe is refused below instead of waited for.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return Errno("opening", path);
  absl::Cleanup close = [fd] { ::close(fd); };
  struct stat info;
  if (::fstat(fd, &info) != 0) return Errno("reading", path);
  if (!S_ISREG(info.st_mode)) return absl::InvalidArgumentError(absl::StrCat(path, " is not a file"));
  const uint64_t size = info.st_size;
  if (size < 8) return absl::DataLossError(absl::StrCat(path, ": ", size, " bytes, too short for a header"));
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (address == MAP_FAILED) return Errno("mapping", path);
  SafetensorsFile file;
  file.mapping_ = std::make_shared<Mapping>(absl::string_view(static_cast<const char*>(address), size));
  RETURN_IF_ERROR(file.Parse(path));
  return file;
}

absl::Status SafetensorsFile::Parse(const std::string& path) {
  const absl::string_view bytes = contents();
  auto fault = [&path](const auto&... parts) {
    return absl::DataLossError(absl::StrCat(path, ": ", parts...));
  };
  uint64_t header_bytes = 0;
  for (int i = 0; i < 8; ++i) header_bytes |= uint64_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
  if (header_bytes > std::min<uint64_t>(bytes.size() - 8, kMaxHeaderBytes)) {
    return fault("header of ", header_bytes, " bytes in a file of ", bytes.size(), ", at most ",
                 kMaxHeaderBytes);
  }
  auto header = ParseHeader(bytes.substr(8, header_bytes));
  if (!header.ok()) return fault("header: ", header.status().message());
  const absl::string_view data = bytes.substr(8 + header_bytes);
  for (const auto& [name, entry] : header->items()) {
    if (name == kMetadataKey) {
      auto metadata = ParseMetadata(entry);
      if (!metadata.ok()) return fault(metadata.status().message());
      metadata_ = *std::move(metadata);
      continue;
    }
    auto tensor = ParseTensor(name, entry, data);
    if (!tensor.ok()) return fault(tensor.status().message());
    tensors_.push_back(*std::move(tensor));
  }
  const absl::Status order = OrderTensors(data, &tensors_);
  return order.ok() ? order : fault(order.message());
}

const TensorView* SafetensorsFile::Find(absl::string_view name) const {
  for (const TensorView& tensor : tensors_) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

absl::Status WriteSafetensors(const std::string& path, absl::Span<const TensorView> tensors,
                              const std::map<std::string, std::string>& metadata) {
  std::vector<const TensorView*> order;
  for (const TensorView& tensor : tensors) order.push_back(&tensor);
  std::stable_sort(order.begin(), order.end(), [](const TensorView* a, const TensorView* b) {
    return SafetensorsDtypeBytes(a->dtype) > SafetensorsDtypeBytes(b->dtype);
  });
  ASSIGN_OR_RETURN(const std::string header, BuildHeader(order, metadata));
  static std::atomic<uint64_t> serial{0};  // two threads may write the same path
  const std::string temporary = absl::StrCat(path, ".tmp.", ::getpid(), ".", serial++);
  const absl::Status written = WriteNewFile(temporary, header, order);
  if (!written.ok()) {
    if (!absl::IsAlreadyExists(written)) ::unlink(temporary.c_str());
    return written;
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    const absl::Status status = Errno("renaming to", path);
    ::unlink(temporary.c_str());
    return status;
  }
  return SyncDirectoryOf(path);
}

}  // namespace larder
