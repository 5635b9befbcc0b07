#include "tools/cli/recall_text.h"

#include "absl/strings/str_format.h"
#include "tools/cli/text_layout.h"

namespace larder::tools {

std::string RecallText(const VectorSpaceInfo& space) {
  if (!space.recall_estimate) return "not measured";
  if (space.serving == IndexKind::kFlat) return "exact";
  if (space.serving == IndexKind::kTree) return absl::StrFormat("%.3f", *space.recall_estimate);
  return absl::StrFormat("%.3f ± %.3f (%s checked)", *space.recall_estimate, space.recall_standard_error,
                         Thousands(space.recall_checked));
}

}  // namespace larder::tools
