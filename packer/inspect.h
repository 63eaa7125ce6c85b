// What is in one of our files: recognised by content, shown tensor by tensor and stream by stream.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "model/console.h"

namespace sixteen {

// Artifact, checkpoint or resume state (safetensors), token shard, byte sidecar, SentencePiece model. Prints through `console`,
// returns the same as an object. Throws Error on damage or when the file is none of these.
nlohmann::ordered_json inspect_file(const std::string& path, const Console& console);

}  // namespace sixteen
