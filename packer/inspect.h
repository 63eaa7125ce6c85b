// What is in one of our files: recognised by content, shown tensor by tensor and stream by stream.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "model/console.h"

namespace sixteen {

struct InspectOptions {
  std::string report;            // an HTML page to write about an artifact or a foreign packed model; empty: none
  uint64_t code_bytes = 0;       // counted code, for that page's map
};

// Artifact, checkpoint or resume state (safetensors), token shard, byte sidecar, SentencePiece model, packed model of a record
// (.ptz). Prints through `console`, returns the same as an object. Throws Error on damage or when the file is none of these.
nlohmann::ordered_json inspect_file(const std::string& path, const InspectOptions& options, const Console& console);

}  // namespace sixteen
