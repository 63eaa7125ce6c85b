// Which sources an evaluation needs: what the counted archive holds.
//
// The root's CMakeLists.txt lists all sources by folder. Those of formats, graph, model and evaluator count, except for the ones named in
// source_list.cpp, which serve training, packing, verification, import or decoding; headers count when a counted source includes
// them. So a source that is new counts until somebody leaves it out by name. The build file is the root's own with the other lists
// emptied and without the tests; main.cpp is one that knows `score` alone.
#pragma once

#include <string>
#include <vector>

namespace sixteen {

struct CountedSource {
  std::string path, text;  // path from the root; text as it is shipped, stripped
};

// In the order of shipping: the build file, then headers and sources by folder. Throws Error when the root is not a checkout of this project.
std::vector<CountedSource> counted_sources(const std::string& root);

}  // namespace sixteen
