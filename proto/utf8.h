// proto3 strings are UTF-8: a peer refuses to parse anything else, and says so badly. What might not
// be UTF-8 is looked at before it is sent. Pure functions; thread-safe.
#ifndef LARDER_PROTO_UTF8_H_
#define LARDER_PROTO_UTF8_H_

#include "absl/status/status.h"

namespace google::protobuf {
class Message;
}

namespace larder {

// InvalidArgument naming the field. Looks into sub-messages, but not into maps: reflection would
// copy them (vectors too), so ToProto checks those as it fills them.
absl::Status CheckUtf8(const google::protobuf::Message& message);

}  // namespace larder

#endif  // LARDER_PROTO_UTF8_H_
