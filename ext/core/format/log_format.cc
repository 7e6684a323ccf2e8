#include "ext/core/format/log_format.h"

#include <algorithm>

namespace walmanager {
namespace {

constexpr std::size_t kLogSequenceAt = 12, kLogSaltsAt = 16, kLogChecksumAt = 24;

std::uint32_t BigEndian(std::span<const std::byte> bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i)
    value = value << 8 | std::to_integer<std::uint32_t>(bytes[at + i]);
  return value;
}

void PutBigEndian(std::span<std::byte> bytes, std::size_t at, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i)
    bytes[at + i] = static_cast<std::byte>(value >> (24 - 8 * i) & 0xff);
}

std::uint32_t LittleEndian(std::span<const std::byte> bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 4; i-- > 0;)
    value = value << 8 | std::to_integer<std::uint32_t>(bytes[at + i]);
  return value;
}

// The checksum of the first 24 bytes of a header (section 4.4). The lowest bit of the magic number
// says in which byte order it is computed; it is stored big-endian.
std::array<std::uint32_t, 2> Checksum(std::span<const std::byte, kLogHeaderBytes> header) {
  const bool is_big = (BigEndian(header, 0) & 1) != 0;
  std::array<std::uint32_t, 2> sum{};
  for (std::size_t at = 0; at < kLogChecksumAt; at += 8) {
    sum[0] += (is_big ? BigEndian(header, at) : LittleEndian(header, at)) + sum[1];
    sum[1] += (is_big ? BigEndian(header, at + 4) : LittleEndian(header, at + 4)) + sum[0];
  }
  return sum;
}

}  // namespace

std::optional<std::array<std::byte, kLogHeaderBytes>> NextLogHeader(
    std::span<const std::byte, kLogHeaderBytes> before, const LogHeader& salts) {
  constexpr std::uint32_t kMagic = 0x377f0682;  // or the next, big-endian
  const bool is_log = (BigEndian(before, 0) & ~1u) == kMagic &&
                      std::array{BigEndian(before, kLogChecksumAt),
                                 BigEndian(before, kLogChecksumAt + 4)} == Checksum(before);
  if (!is_log) return std::nullopt;
  std::array<std::byte, kLogHeaderBytes> next;
  std::copy(before.begin(), before.end(), next.begin());
  PutBigEndian(next, kLogSequenceAt, BigEndian(before, kLogSequenceAt) + 1);
  PutBigEndian(next, kLogSaltsAt, salts.salt1);
  PutBigEndian(next, kLogSaltsAt + 4, salts.salt2);
  const auto sum = Checksum(next);
  PutBigEndian(next, kLogChecksumAt, sum[0]);
  PutBigEndian(next, kLogChecksumAt + 4, sum[1]);
  return next;
}

LogHeader DecodeLogHeader(std::span<const std::byte, kLogHeaderBytes> bytes) {
  return {.salt1 = BigEndian(bytes, kLogSaltsAt), .salt2 = BigEndian(bytes, kLogSaltsAt + 4)};
}

FrameHeader DecodeFrameHeader(std::span<const std::byte, kFrameHeaderBytes> bytes) {
  return {.page = BigEndian(bytes, 0),
          .salt1 = BigEndian(bytes, 8),
          .salt2 = BigEndian(bytes, 12),
          .checksum = {BigEndian(bytes, 16), BigEndian(bytes, 20)}};
}

bool IsLogOf(const WalIndex& index, const LogHeader& header, const FrameHeader& newest) {
  return header.salt1 == index.salt1 && header.salt2 == index.salt2 &&
         newest.salt1 == index.salt1 && newest.salt2 == index.salt2 &&
         newest.checksum == index.frame_checksum;
}

bool IsEmptyLogOf(const WalIndex& index, const LogHeader& header) {
  // The first salt counts up when the log starts over; the header is written with the first frame.
  return header.salt1 + 1 == index.salt1 ||
         (header.salt1 == index.salt1 && header.salt2 == index.salt2);
}

}  // namespace walmanager
