// Shapes of up to four dimensions, row-major and dense.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

namespace sixteen {

class Shape {
 public:
  static constexpr int kMaxRank = 4;

  Shape() = default;
  Shape(std::initializer_list<int64_t> dims);

  int rank() const { return rank_; }
  int64_t operator[](int i) const { return dims_[i]; }
  int64_t last() const { return rank_ == 0 ? 1 : dims_[rank_ - 1]; }
  int64_t rows() const { return last() == 0 ? 0 : numel() / last(); }  // product of all dimensions but the last
  int64_t numel() const;
  bool operator==(const Shape& other) const = default;
  std::string string() const;  // "[8, 512]"

 private:
  int rank_ = 0;
  std::array<int64_t, kMaxRank> dims_{};
};

}  // namespace sixteen
