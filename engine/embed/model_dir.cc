#include <cstdlib>
#include <filesystem>

#include "engine/embedder.h"

namespace larder {

std::string DefaultModelDir() {
  const char* named = std::getenv("LARDER_MODEL_DIR");
  if (named != nullptr && *named != '\0') return named;
  std::error_code ignored;
  for (const char* directory : {LARDER_DEFAULT_MODEL_DIR, LARDER_INSTALLED_MODEL_DIR}) {
    if (std::filesystem::exists(std::filesystem::path(directory) / "model.safetensors", ignored)) {
      return directory;
    }
  }
  return LARDER_DEFAULT_MODEL_DIR;
}

}  // namespace larder
