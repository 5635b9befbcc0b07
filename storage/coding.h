// Fixed and variable-length integers, order-preserving keys, and bounds-checked records.
#ifndef LARDER_STORAGE_CODING_H_
#define LARDER_STORAGE_CODING_H_

#include <cstdint>
#include <cstring>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace larder::storage {

// Big endian: byte order is numeric order, for keys.
void AppendKey16(uint16_t value, std::string* out);
void AppendKey32(uint32_t value, std::string* out);
void AppendKey64(uint64_t value, std::string* out);
uint16_t ReadKey16(const char* data);
uint32_t ReadKey32(const char* data);
uint64_t ReadKey64(const char* data);
// A string inside a key: 0x00 becomes 0x00 0xFF, and 0x00 0x01 ends it, so that order is kept and
// no string is another's prefix.
void AppendKeyString(absl::string_view value, std::string* out);
// Takes an AppendKeyString off the front of `in`.
absl::StatusOr<std::string> ReadKeyString(absl::string_view* in);
// Order-preserving: sign-flipped int64 and IEEE double.
void AppendKeyInt64(int64_t value, std::string* out);
void AppendKeyDouble(double value, std::string* out);

// The first key after every key that begins with `prefix`; "" if there is none.
std::string PrefixEnd(absl::string_view prefix);

// Builds a record: a version byte, then fields in order. The reader of version N reads the fields
// it knows; new fields are appended.
class RecordWriter {
 public:
  explicit RecordWriter(uint8_t version) { out_.push_back(static_cast<char>(version)); }
  void U8(uint8_t value);
  void U32(uint32_t value);     // fixed, little endian
  void U64(uint64_t value);
  void Varint(uint64_t value);
  void Double(double value);
  void Bytes(absl::string_view value);  // varint length, then the bytes
  std::string Finish() && { return std::move(out_); }

 private:
  std::string out_;
};

// Reads what RecordWriter wrote. Never reads out of bounds; after the first short or malformed
// field every call returns zero values, and status() says where it went wrong.
class RecordReader {
 public:
  // `what` names the record in errors. DataLoss if the version is not in [1, max_version].
  RecordReader(absl::string_view data, uint8_t max_version, absl::string_view what);
  uint8_t version() const { return version_; }
  uint8_t U8();
  uint32_t U32();
  uint64_t U64();
  uint64_t Varint();
  double Double();
  absl::string_view Bytes();   // points into the data
  bool AtEnd() const { return pos_ == data_.size(); }
  absl::Status status() const { return status_; }

 private:
  bool Need(size_t bytes);
  absl::string_view data_;
  std::string what_;
  size_t pos_ = 0;
  uint8_t version_ = 0;
  absl::Status status_;
};

}  // namespace larder::storage

#endif  // LARDER_STORAGE_CODING_H_
