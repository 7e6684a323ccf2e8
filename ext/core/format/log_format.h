// The headers of a -wal file and of its frames, as SQLite lays them out
// (https://www.sqlite.org/fileformat.html, section 4.1), and whether a log is the one that a
// wal-index counts. All functions are pure: bytes in, facts out.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "ext/core/format/wal_index_format.h"

namespace walmanager {

struct LogHeader {
  std::uint32_t salt1 = 0, salt2 = 0;
};
struct FrameHeader {
  std::uint32_t page = 0;
  std::uint32_t salt1 = 0, salt2 = 0;
  std::array<std::uint32_t, 2> checksum{};  // of this frame and all before it
};
LogHeader DecodeLogHeader(std::span<const std::byte, kLogHeaderBytes> bytes);
FrameHeader DecodeFrameHeader(std::span<const std::byte, kFrameHeaderBytes> bytes);

// The header of a log that starts over with these salts: the previous log's header `before` with
// the next checkpoint sequence number. nullopt where `before` is not the header of a log.
std::optional<std::array<std::byte, kLogHeaderBytes>> NextLogHeader(
    std::span<const std::byte, kLogHeaderBytes> before, const LogHeader& salts);

// Where a frame (the first is 1) begins in the file.
constexpr std::int64_t FramePlace(std::uint32_t frame, std::uint32_t page_size) {
  return kLogHeaderBytes +
         (std::int64_t{frame} - 1) * (std::int64_t{page_size} + kFrameHeaderBytes);
}

// Whether a log with this header, and with this newest frame, is the one that `index` counts. The
// newest frame's checksum covers all frames before it. `index` counts at least one frame.
bool IsLogOf(const WalIndex& index, const LogHeader& header, const FrameHeader& newest);
// The same for an `index` that counts no frame, by the header of the log alone: the log has not
// been written since it was to start over, or since it was recovered.
bool IsEmptyLogOf(const WalIndex& index, const LogHeader& header);

}  // namespace walmanager
