// proto3 strings are UTF-8: a peer refuses to parse anything else, and says so badly. What might not
// be UTF-8 is looked at before it is sent. Pure functions; thread-safe.
#ifndef LARDER_PROTO_UTF8_H_
#define LARDER_PROTO_UTF8_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace google::protobuf {
class Message;
}

namespace larder {

// Well-formed by Unicode 15 table 3-7: shortest forms, no surrogates, at most U+10FFFF.
bool IsValidUtf8(absl::string_view bytes);

// Every byte that does not belong to a well-formed sequence becomes U+FFFD.
std::string ToValidUtf8(absl::string_view bytes);

// InvalidArgument naming the field. Looks into sub-messages, but not into maps: reflection would
// copy them (vectors too), so ToProto checks those as it fills them.
absl::Status CheckUtf8(const google::protobuf::Message& message);

}  // namespace larder

#endif  // LARDER_PROTO_UTF8_H_
