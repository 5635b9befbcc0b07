#include "proto/utf8.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "storage/status_macros.h"

namespace larder {
namespace {

// Length of the well-formed sequence that starts at `at`, 0 if there is none.
size_t SequenceLength(absl::string_view bytes, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(bytes[at + i]); };
  const size_t left = bytes.size() - at;
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4) return 0;
  const size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (left < length) return 0;
  // The second byte's range excludes overlong forms, surrogates and what lies beyond U+10FFFF.
  const uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (byte(1) < low || byte(1) > high) return 0;
  for (size_t i = 2; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  return length;
}

// Bytes from `at` on that are ASCII, by eights.
size_t AsciiRun(absl::string_view bytes, size_t at) {
  const size_t start = at;
  for (; at + 8 <= bytes.size(); at += 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + at, 8);
    if ((word & 0x8080808080808080ull) != 0) break;
  }
  return at - start;
}

absl::Status CheckField(const google::protobuf::Message& message,
                        const google::protobuf::FieldDescriptor* field) {
  using google::protobuf::FieldDescriptor;
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  const int count = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
  for (int i = 0; i < count; ++i) {
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      RETURN_IF_ERROR(CheckUtf8(field->is_repeated() ? reflection.GetRepeatedMessage(message, field, i)
                                                     : reflection.GetMessage(message, field)));
      continue;
    }
    std::string scratch;
    const std::string& text = field->is_repeated()
                                  ? reflection.GetRepeatedStringReference(message, field, i, &scratch)
                                  : reflection.GetStringReference(message, field, &scratch);
    if (!IsValidUtf8(text)) {
      return absl::InvalidArgumentError(
          absl::StrCat(field->full_name(), ": ", text.size(), " bytes that are not UTF-8"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

bool IsValidUtf8(absl::string_view bytes) {
  for (size_t at = 0; at < bytes.size();) {
    at += AsciiRun(bytes, at);
    if (at == bytes.size()) break;
    const size_t length = SequenceLength(bytes, at);
    if (length == 0) return false;
    at += length;
  }
  return true;
}

std::string ToValidUtf8(absl::string_view bytes) {
  if (IsValidUtf8(bytes)) return std::string(bytes);
  std::string text;
  for (size_t at = 0; at < bytes.size();) {
    const size_t length = SequenceLength(bytes, at);
    absl::StrAppend(&text, length == 0 ? absl::string_view("\xEF\xBF\xBD") : bytes.substr(at, length));
    at += length == 0 ? 1 : length;
  }
  return text;
}

absl::Status CheckUtf8(const google::protobuf::Message& message) {
  using google::protobuf::FieldDescriptor;
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const bool holds_text =
        field->type() == FieldDescriptor::TYPE_STRING || field->type() == FieldDescriptor::TYPE_MESSAGE;
    if (!holds_text || field->is_map()) continue;
    RETURN_IF_ERROR(CheckField(message, field));
  }
  return absl::OkStatus();
}

}  // namespace larder
