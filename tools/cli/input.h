// What commands read besides flags: files, standard input, vectors. Pure but for the reading;
// thread-safe.
#ifndef LARDER_TOOLS_CLI_INPUT_H_
#define LARDER_TOOLS_CLI_INPUT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "larder/types.h"

namespace larder::tools {

// The whole of a file, or of standard input for "-". NotFound if there is no such file.
absl::StatusOr<std::string> ReadInput(const std::string& path);

// "0.1, -2e-3,4". InvalidArgument naming the place and what stands there.
absl::StatusOr<std::vector<float>> ParseVector(absl::string_view text);
// The only vector of a file in one of matrix_reader.h's formats, such as .npy of shape (n,) or (1, n).
absl::StatusOr<std::vector<float>> ReadVectorFile(const std::string& path);
// The vector that `--vector` or `--vector-file` gives; empty if neither does.
absl::StatusOr<std::vector<float>> VectorFromFlags(const std::string& values, const std::string& path);

// "1,2,3" or "[1, 2, 3]".
absl::StatusOr<std::vector<int32_t>> ParseTokens(absl::string_view text);
// "year=1970": a value that is JSON (a number, true, "1970", ["a", "b"]) has that type; any other is
// a string as it stands.
absl::StatusOr<Metadata> ParseMetadataFlags(const std::vector<std::string>& flags);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_CLI_INPUT_H_
