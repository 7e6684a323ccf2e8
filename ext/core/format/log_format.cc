#include "ext/core/format/log_format.h"

namespace walmanager {
namespace {

std::uint32_t BigEndian(std::span<const std::byte> bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i)
    value = value << 8 | std::to_integer<std::uint32_t>(bytes[at + i]);
  return value;
}

}  // namespace

LogHeader DecodeLogHeader(std::span<const std::byte, kLogHeaderBytes> bytes) {
  return {.salt1 = BigEndian(bytes, 16), .salt2 = BigEndian(bytes, 20)};
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
