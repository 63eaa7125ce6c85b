// See import.h.
#include "packer/import.h"

#include <algorithm>
#include <map>

#include "formats/file.h"
#include "formats/torch_file.h"

namespace sixteen {

Imported import_torch(const std::string& path, const ImportSettings& settings) {
  const MappedFile mapped(path);
  ImportedTensors source = read_torch_tensors(TorchFile(open_torch_container(mapped.bytes(), path), path));
  SettledConfig settled = settle_config(source, settings, path);

  const ParamTable table(settled.config);
  std::map<std::string, size_t> order;
  for (const ParamSpec& spec : table.specs()) order.emplace(spec.name, order.size());
  const auto place = [&order](const PackedTensor& t) {
    const auto it = order.find(t.name);
    return it == order.end() ? order.size() : it->second;  // unpack() refuses what has no place
  };
  Artifact artifact;
  artifact.tensors = std::move(source.tensors);
  std::stable_sort(artifact.tensors.begin(), artifact.tensors.end(),
                   [&](const PackedTensor& a, const PackedTensor& b) { return place(a) < place(b); });
  artifact.config_json = to_json(settled.config);
  artifact.metadata = {{"producer", std::string("sixteen-pack ") + SIXTEEN_VERSION + " import"},
                       {"imported_from_sha256", to_hex(sha256(mapped.bytes()))}};
  Model model = unpack(artifact, path + " with " + settled.source);
  return {.artifact = std::move(artifact),
          .model = std::move(model),
          .settled = std::move(settled),
          .form = std::move(source.form),
          .quantised = source.quantised};
}

}  // namespace sixteen
