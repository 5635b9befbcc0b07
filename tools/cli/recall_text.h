// What is known of a vector space's recall, for people.
#ifndef LARDER_TOOLS_CLI_RECALL_TEXT_H_
#define LARDER_TOOLS_CLI_RECALL_TEXT_H_

#include <string>

#include "larder/collection_info.h"

namespace larder::tools {

// "0.961 ± 0.004 (120 checked)", "exact" or "not measured".
std::string RecallText(const VectorSpaceInfo& space);

}  // namespace larder::tools

#endif  // LARDER_TOOLS_CLI_RECALL_TEXT_H_
