#include "ext/core/wal_index_format.h"

#include <bit>
#include <cstring>

namespace walmanager {
namespace {

// struct WalIndexHdr, 48 bytes; integers are in the byte order of the machine.
struct Header {
  std::uint32_t version;
  std::uint32_t unused;
  std::uint32_t change_counter;
  std::uint8_t is_init;
  std::uint8_t big_endian_checksum;
  std::uint16_t page_size;  // 1 stands for 65536
  std::uint32_t max_frame;
  std::uint32_t database_pages;
  std::uint32_t frame_checksum[2];
  std::uint32_t salt[2];  // copied from the log, so in its byte order: big-endian
  std::uint32_t checksum[2];
};
static_assert(sizeof(Header) == 48);

constexpr std::uint32_t kWalIndexVersion = 3007000;

std::uint32_t FromBigEndian(std::uint32_t value) {
  if constexpr (std::endian::native == std::endian::little) return __builtin_bswap32(value);
  return value;
}

template <typename T>
T Load(std::span<const std::byte> bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

}  // namespace

std::optional<WalIndex> DecodeWalIndex(std::span<const std::byte> bytes) {
  if (bytes.size() < kWalIndexSnapshotBytes) return std::nullopt;
  if (std::memcmp(bytes.data(), bytes.data() + sizeof(Header), sizeof(Header)) != 0) {
    return std::nullopt;
  }
  const auto header = Load<Header>(bytes, 0);
  if (header.is_init == 0 || header.version != kWalIndexVersion) return std::nullopt;
  WalIndex index;
  index.change_counter = header.change_counter;
  index.page_size = (header.page_size & 0xfe00u) + ((header.page_size & 1u) << 16);
  index.max_frame = header.max_frame;
  // A log that has never been written knows no page size yet.
  const bool never_written = index.page_size == 0 && index.max_frame == 0;
  if (!never_written && (index.page_size < 512 || (index.page_size & (index.page_size - 1)) != 0)) {
    return std::nullopt;
  }
  index.database_pages = header.database_pages;
  index.salt1 = FromBigEndian(header.salt[0]);
  index.salt2 = FromBigEndian(header.salt[1]);
  index.backfill = Load<std::uint32_t>(bytes, 96);
  for (std::size_t i = 0; i < index.read_marks.size(); ++i) {
    index.read_marks[i] = Load<std::uint32_t>(bytes, 100 + 4 * i);
  }
  index.backfill_attempted = Load<std::uint32_t>(bytes, 128);
  return index;
}

}  // namespace walmanager
