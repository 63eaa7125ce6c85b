// The counted source archive: one shell script that unpacks the evaluator's sources, made from a checkout.
//
//   sh evaluator.sh FOLDER && cmake -S FOLDER -B FOLDER/build && cmake --build FOLDER/build     # FOLDER/build/bin/sixteen-eval
//
// The script carries a decoder as C++ text, which it compiles, and the sources as an arithmetic code of source_model.h's predictions:
// a quarter smaller than xz. The decoder is in the count. Bytes depend on the checkout (and on liblzma, of the decoder): no times, no owners.
#pragma once

#include <string>
#include <vector>

#include "packer/source_list.h"

namespace sixteen {

struct SourceArchive {
  std::string script;                                // the file
  size_t files = 0, text_bytes = 0, code_bytes = 0;  // sources, their size as shipped, the coded part of the script
};

// model: the text of source_model.h, stripped.
SourceArchive make_source_archive(const std::vector<CountedSource>& sources, const std::string& model);
// Of a checkout. Throws Error when it is none.
SourceArchive make_source_archive(const std::string& root);

}  // namespace sixteen
