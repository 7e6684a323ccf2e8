// Any bytes as the headers of a log and its newest frame, and as the wal-index that counts it.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "ext/core/format/log_format.h"

using namespace walmanager;

namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

// The checksum as https://www.sqlite.org/fileformat.html says in section 4.4.
void PutChecksum(std::array<std::byte, kLogHeaderBytes>& header) {
  const auto at = [&](std::size_t i) { return std::to_integer<std::uint32_t>(header[i]); };
  const bool is_big = (at(3) & 1) != 0;
  std::uint32_t sums[2] = {};
  for (std::size_t i = 0; i < 24; i += 4) {
    const std::uint32_t word = is_big ? at(i) << 24 | at(i + 1) << 16 | at(i + 2) << 8 | at(i + 3)
                                      : at(i + 3) << 24 | at(i + 2) << 16 | at(i + 1) << 8 | at(i);
    sums[i / 4 % 2] += word + sums[1 - i / 4 % 2];
  }
  for (std::size_t i = 0; i < 8; ++i) {
    header[24 + i] = static_cast<std::byte>(sums[i / 4] >> (24 - 8 * (i % 4)) & 0xff);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::array<std::byte, kLogHeaderBytes> header{};
  std::array<std::byte, kFrameHeaderBytes> frame{};
  std::array<std::byte, kWalIndexSnapshotBytes> index_bytes{};
  const auto take = [&](auto& bytes) {
    const std::size_t n = std::min(size, bytes.size());
    std::memcpy(bytes.data(), data, n);
    data += n;
    size -= n;
  };
  take(header);
  take(frame);
  take(index_bytes);
  const LogHeader read = DecodeLogHeader(header);
  const FrameHeader newest = DecodeFrameHeader(frame);

  // The header of a log that starts over is one, and has the salts that it was given.
  const LogHeader salts{read.salt1 + 1, newest.salt2};
  auto next = NextLogHeader(header, salts);
  if (!next && IsLogMagic(header)) {
    PutChecksum(header);
    next = NextLogHeader(header, salts);
    Require(next.has_value());
  }
  if (next) {
    Require(IsLogMagic(header) && IsLogMagic(*next));
    const LogHeader again = DecodeLogHeader(*next);
    Require(again.salt1 == read.salt1 + 1 && again.salt2 == newest.salt2);
    Require(std::memcmp(next->data(), header.data(), 12) == 0);  // magic, version, page size
    Require(NextLogHeader(*next, again).has_value());
  }
  if (const auto index = DecodeWalIndex(index_bytes); index && index->max_frame > 0) {
    if (IsLogOf(*index, read, newest)) {
      Require(index->salt1 == read.salt1 && index->salt2 == read.salt2);
      Require(newest.salt1 == read.salt1 && newest.checksum == index->frame_checksum);
    }
  }
  return 0;
}
