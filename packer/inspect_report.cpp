// The HTML page of `inspect --report`.
#include "formats/file.h"
#include "model/svg.h"
#include "packer/inspect_artifact.h"

namespace sixteen {
namespace {

constexpr double kCap = 16000000;

std::string kind_fill(const std::string& kind) {
  if (kind.starts_with("int8")) return "#b5d0ea";
  if (kind.starts_with("int")) return "#d5e5f4";
  return "#e8e8e8";
}

std::string percent(double part, double whole) { return whole > 0 ? fixed(100 * (part / whole - 1), 2) + " %" : ""; }

std::string row_of(const std::vector<std::string>& cells, const char* tag) {
  std::string row = "<tr>";
  for (const std::string& cell : cells) row += std::string("<") + tag + ">" + escape_html(cell) + "</" + tag + ">";
  return row + "</tr>";
}

}  // namespace

void write_inspect_report(const std::string& path, const FileCosts& costs) {
  std::vector<TreemapCell> cells;
  double total = static_cast<double>(costs.code_bytes);
  const auto add = [&](const std::string& label, double bytes, const std::string& fill) {
    cells.push_back({bytes, label, label + ": " + fixed(bytes, 0) + " bytes", fill});
  };
  for (const TensorCost& tensor : costs.tensors) {
    add(tensor.name, static_cast<double>(tensor.coded_bytes), kind_fill(tensor.kind));
    total += static_cast<double>(tensor.coded_bytes);
  }
  for (const PartOfFile& part : costs.parts) {
    add(part.name, static_cast<double>(part.bytes), "#f2dcb3");
    total += static_cast<double>(part.bytes);
  }
  add("code", static_cast<double>(costs.code_bytes), "#cfe8c9");
  add("free", kCap - total, "#fafafa");
  std::string html = open_html(costs.title) + "<table>";
  for (const auto& [name, value] : costs.facts) html += row_of({name, value}, "td");
  html += row_of({"of 16,000,000 bytes", fixed(total, 0) + (total > kCap ? ", over by " : ", free ") + fixed(std::abs(kCap - total), 0)}, "td");
  html += "</table><h2>Where the bytes are</h2><p>A pointer over a rectangle shows its bytes; tensors are their codes alone.</p>" + treemap(std::move(cells)) +
          "<h2>Tensors</h2><p>order 0: what the codes need without context; conditional: under the best of two fitted models, a bell "
          "curve a column, or one of all columns with their covariance. Neither counts its own parameters.</p><table>";
  html += row_of({"tensor", "shape", "stored", "coded", "bits/weight", "order 0", "coded against it", "conditional", "coded against it", "which"}, "th");
  for (const TensorCost& t : costs.tensors) {
    const double coded = static_cast<double>(t.coded_bytes);
    if (t.conditional.empty()) {
      html += row_of({t.name, t.shape, t.kind}, "td");
      continue;
    }
    html += row_of({t.name, t.shape, t.kind, fixed(coded, 0), fixed(8 * coded / t.weights, 3), fixed(t.order0_bytes, 0), percent(coded, t.order0_bytes),
                    fixed(t.conditional_bytes, 0), percent(coded, t.conditional_bytes), t.conditional},
                   "td");
  }
  html += "</table></html>";
  OutputFile out(path);
  out.write(html);
  out.commit();
}

}  // namespace sixteen
