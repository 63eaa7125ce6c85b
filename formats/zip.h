// Zip archives whose entries are stored as they are: what PyTorch writes. Nothing is decompressed, so nothing can explode.
//
// Bites: the end record must be the file's last bytes (no comment), every entry must lie alone between its neighbours, its
// local header must agree with the directory, its CRC-32 must hold. Zip64 is read; encrypted, split and compressed archives are
// refused by name. Format: PKWARE APPNOTE 6.3.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace sixteen {

struct ZipEntry {
  std::string name;
  std::span<const std::byte> bytes;  // lives as long as the file
};

bool is_zip(std::span<const std::byte> file);  // by the first bytes

// In the directory's order. Throws Error (where, entry, offset, expected, found).
std::vector<ZipEntry> parse_zip(std::span<const std::byte> file, const std::string& where);

}  // namespace sixteen
