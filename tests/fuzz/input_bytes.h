// The bytes of the fuzzer, used up one after the other: choices first, then text. 0 after the end.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

class InputBytes {
 public:
  InputBytes(const std::uint8_t* data, std::size_t size) : data_(data), end_(data + size) {}
  bool empty() const { return data_ == end_; }
  std::uint8_t Next() { return empty() ? std::uint8_t{0} : *data_++; }
  // Less than `choices`.
  unsigned Choose(unsigned choices) { return Next() % choices; }
  template <std::size_t N>
  const char* OneOf(const char* const (&list)[N]) {
    return list[Next() % N];
  }
  std::string Take(std::size_t most) {
    const auto n = std::min<std::size_t>(most, static_cast<std::size_t>(end_ - data_));
    data_ += n;
    return {reinterpret_cast<const char*>(data_ - n), n};
  }

 private:
  const std::uint8_t* data_;
  const std::uint8_t* end_;
};
