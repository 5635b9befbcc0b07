#include "storage/coding.h"

#include "absl/strings/str_cat.h"

namespace larder::storage {
namespace {

template <typename T>
void AppendBigEndian(T value, std::string* out) {
  for (int shift = 8 * (sizeof(T) - 1); shift >= 0; shift -= 8) {
    out->push_back(static_cast<char>(value >> shift));
  }
}

template <typename T>
T ReadBigEndian(const char* data) {
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) value = static_cast<T>(value << 8) | static_cast<uint8_t>(data[i]);
  return value;
}

template <typename T>
void AppendLittleEndian(T value, std::string* out) {
  for (size_t i = 0; i < sizeof(T); ++i) out->push_back(static_cast<char>(value >> (8 * i)));
}

template <typename T>
T ReadLittleEndian(const char* data) {
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) value |= static_cast<T>(static_cast<uint8_t>(data[i])) << (8 * i);
  return value;
}

constexpr uint64_t kSignBit = uint64_t{1} << 63;

}  // namespace

void AppendKey16(uint16_t value, std::string* out) { AppendBigEndian(value, out); }
void AppendKey32(uint32_t value, std::string* out) { AppendBigEndian(value, out); }
void AppendKey64(uint64_t value, std::string* out) { AppendBigEndian(value, out); }
uint16_t ReadKey16(const char* data) { return ReadBigEndian<uint16_t>(data); }
uint32_t ReadKey32(const char* data) { return ReadBigEndian<uint32_t>(data); }
uint64_t ReadKey64(const char* data) { return ReadBigEndian<uint64_t>(data); }

void AppendKeyString(absl::string_view value, std::string* out) {
  for (char c : value) {
    out->push_back(c);
    if (c == '\0') out->push_back('\xff');
  }
  out->push_back('\0');
  out->push_back('\x01');
}

absl::StatusOr<std::string> ReadKeyString(absl::string_view* in) {
  std::string value;
  for (size_t i = 0; i < in->size(); ++i) {
    if ((*in)[i] != '\0') {
      value.push_back((*in)[i]);
      continue;
    }
    if (i + 1 == in->size()) break;
    const char next = (*in)[++i];
    if (next == '\x01') {
      in->remove_prefix(i + 1);
      return value;
    }
    if (next != '\xff') break;
    value.push_back('\0');
  }
  return absl::DataLossError("key: a string inside it does not end where one must");
}

void AppendKeyInt64(int64_t value, std::string* out) {
  AppendKey64(static_cast<uint64_t>(value) ^ kSignBit, out);
}

void AppendKeyDouble(double value, std::string* out) {
  if (value == 0) value = 0;  // -0.0 and 0.0 are one key
  uint64_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  AppendKey64((bits & kSignBit) ? ~bits : bits | kSignBit, out);
}

std::string PrefixEnd(absl::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<uint8_t>(end.back()) == 0xff) end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(static_cast<uint8_t>(end.back()) + 1);
  return end;
}

void RecordWriter::U8(uint8_t value) { out_.push_back(static_cast<char>(value)); }
void RecordWriter::U32(uint32_t value) { AppendLittleEndian(value, &out_); }
void RecordWriter::U64(uint64_t value) { AppendLittleEndian(value, &out_); }
void RecordWriter::Varint(uint64_t value) {
  while (value >= 0x80) {
    out_.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out_.push_back(static_cast<char>(value));
}
void RecordWriter::Double(double value) {
  uint64_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  U64(bits);
}
void RecordWriter::Bytes(absl::string_view value) {
  Varint(value.size());
  out_.append(value.data(), value.size());
}

RecordReader::RecordReader(absl::string_view data, uint8_t max_version, absl::string_view what)
    : data_(data), what_(what) {
  version_ = U8();
  if (status_.ok() && (version_ == 0 || version_ > max_version)) {
    status_ = absl::DataLossError(absl::StrCat(what_, ": record version ", version_, ", expected 1 to ", max_version));
  }
}

bool RecordReader::Need(size_t bytes) {
  if (!status_.ok()) return false;
  if (data_.size() - pos_ >= bytes) return true;
  status_ = absl::DataLossError(absl::StrCat(what_, ": record ends at byte ", data_.size(), ", expected ", bytes,
                                             " more after byte ", pos_));
  return false;
}

uint8_t RecordReader::U8() { return Need(1) ? static_cast<uint8_t>(data_[pos_++]) : 0; }

uint32_t RecordReader::U32() {
  if (!Need(4)) return 0;
  pos_ += 4;
  return ReadLittleEndian<uint32_t>(data_.data() + pos_ - 4);
}

uint64_t RecordReader::U64() {
  if (!Need(8)) return 0;
  pos_ += 8;
  return ReadLittleEndian<uint64_t>(data_.data() + pos_ - 8);
}

uint64_t RecordReader::Varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const uint8_t byte = U8();
    if (!status_.ok()) return 0;
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  status_ = absl::DataLossError(absl::StrCat(what_, ": varint longer than 10 bytes before byte ", pos_));
  return 0;
}

double RecordReader::Double() {
  const uint64_t bits = U64();
  double value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

absl::string_view RecordReader::Bytes() {
  const uint64_t size = Varint();
  if (!Need(size)) return {};
  pos_ += size;
  return data_.substr(pos_ - size, size);
}

}  // namespace larder::storage
