// How single words, records and texts in the memory of the control file are read and written; the
// protocol they are part of is in control_region.h. They are relaxed: a word says nothing of
// others. Where it does, the code that writes it and the code that reads it say so, and use fences,
// release and acquire.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "ext/core/base/utf8.h"
#include "ext/core/control/layout_sizes.h"

namespace walmanager {

// Records are copied word by word, so that a copy beside a writer is torn but defined. The fields
// of a record are of other types than the words: the compiler is told that they may be the same
// memory, which std::atomic_ref<std::uint64_t> would not tell it.
inline void CopyWords(void* to, const void* from, std::size_t bytes) {
  using Word [[gnu::may_alias]] = std::uint64_t;
  auto* target = static_cast<Word*>(to);
  const auto* source = static_cast<const Word*>(from);
  for (std::size_t i = 0; i < bytes / 8; ++i) {
    __atomic_store_n(target + i, __atomic_load_n(source + i, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
  }
}

template <std::size_t N>
std::string Text(const char (&field)[N]) {
  std::string text(field, strnlen(field, N - 1));
  if (!IsUtf8(text)) {
    std::replace_if(
        text.begin(), text.end(), [](char c) { return (c & 0x80) != 0; }, '?');
  }
  return text;
}

template <std::size_t N>
void SetText(char (&field)[N], std::string_view text) {
  std::size_t length = std::min(text.size(), N - 1);
  // Never cut a UTF-8 sequence in two.
  while (length < text.size() && length > 0 &&
         (static_cast<unsigned char>(text[length]) & 0xc0) == 0x80)
    --length;
  std::memset(field, 0, N);
  std::memcpy(field, text.data(), length);
}

// Texts are written and read byte by byte where several processes may do so at once. What follows
// the end of a text says nothing, and stays.
template <std::size_t N>
void PutText(char (&field)[N], std::string_view text) {
  char whole[N];
  SetText(whole, text);
  const std::size_t end = strnlen(whole, N - 1);
  for (std::size_t i = 0; i <= end; ++i) {
    std::atomic_ref<char>(field[i]).store(whole[i], std::memory_order_relaxed);
  }
}

template <std::size_t N>
std::string GetText(const char (&field)[N]) {
  char whole[N];
  for (std::size_t i = 0; i < N; ++i) {
    whole[i] = std::atomic_ref<char>(const_cast<char&>(field[i])).load(std::memory_order_relaxed);
    if (whole[i] == 0) break;
  }
  return Text(whole);
}

inline std::uint64_t Get(const layout::Counter& counter) {
  return counter.load(std::memory_order_relaxed);
}
inline void Put(layout::Counter& counter, std::uint64_t value) {
  counter.store(value, std::memory_order_relaxed);
}
inline void Add(layout::Counter& counter, std::uint64_t n) {
  counter.fetch_add(n, std::memory_order_relaxed);
}
// Returns the value and sets it to 0.
inline std::uint64_t Take(layout::Counter& counter) {
  return counter.exchange(0, std::memory_order_relaxed);
}

inline void Raise(layout::Counter& counter, std::uint64_t value) {
  std::uint64_t seen = Get(counter);
  while (seen < value && !counter.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
}

// The owner's way to add: no other thread writes this word.
inline void AddOwn(layout::Counter& counter, std::uint64_t n) { Put(counter, Get(counter) + n); }

}  // namespace walmanager
