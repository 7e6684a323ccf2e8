#include "ext/core/format/wal_index_format.h"

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
static_assert(sizeof(Header) == kWalIndexHeaderBytes);

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

std::uint32_t PageSize(std::span<const std::byte> bytes) {
  const std::uint32_t stored = Load<std::uint16_t>(bytes, offsetof(Header, page_size));
  return (stored & 0xfe00u) + ((stored & 1u) << 16);
}

// Whether the two copies of the header agree and are one. Fields are loaded one by one, here and
// below: a copy of the whole would wait for the stores of what was just copied from the live one.
bool HasHeader(std::span<const std::byte> bytes) {
  if (bytes.size() < 2 * sizeof(Header)) return false;
  if (std::memcmp(bytes.data(), bytes.data() + sizeof(Header), sizeof(Header)) != 0) return false;
  if (Load<std::uint8_t>(bytes, offsetof(Header, is_init)) == 0) return false;
  if (Load<std::uint32_t>(bytes, offsetof(Header, version)) != kWalIndexVersion) return false;
  const std::uint32_t page_size = PageSize(bytes);
  // A log that has never been written knows no page size yet.
  if (page_size == 0) return Load<std::uint32_t>(bytes, offsetof(Header, max_frame)) == 0;
  return page_size >= 512 && (page_size & (page_size - 1)) == 0;
}

}  // namespace

bool IsLogMagic(std::span<const std::byte> bytes) {
  constexpr std::uint32_t kMagic = 0x377f0682;  // the lowest bit: checksums are big-endian
  return bytes.size() >= sizeof kMagic &&
         (FromBigEndian(Load<std::uint32_t>(bytes, 0)) & ~1u) == kMagic;
}

std::optional<LogEnd> DecodeLogEnd(std::span<const std::byte> bytes) {
  if (!HasHeader(bytes)) return std::nullopt;
  return LogEnd{FromBigEndian(Load<std::uint32_t>(bytes, offsetof(Header, salt))),
                Load<std::uint32_t>(bytes, offsetof(Header, max_frame))};
}

std::optional<WalIndex> DecodeWalIndex(std::span<const std::byte> bytes) {
  if (bytes.size() < kWalIndexSnapshotBytes || !HasHeader(bytes)) return std::nullopt;
  WalIndex index;
  index.change_counter = Load<std::uint32_t>(bytes, offsetof(Header, change_counter));
  index.page_size = PageSize(bytes);
  index.max_frame = Load<std::uint32_t>(bytes, offsetof(Header, max_frame));
  index.database_pages = Load<std::uint32_t>(bytes, offsetof(Header, database_pages));
  index.salt1 = FromBigEndian(Load<std::uint32_t>(bytes, offsetof(Header, salt)));
  index.salt2 = FromBigEndian(Load<std::uint32_t>(bytes, offsetof(Header, salt) + 4));
  for (std::size_t i = 0; i < index.frame_checksum.size(); ++i) {
    index.frame_checksum[i] = Load<std::uint32_t>(bytes, offsetof(Header, frame_checksum) + 4 * i);
  }
  index.backfill = Load<std::uint32_t>(bytes, 96);
  for (std::size_t i = 0; i < index.read_marks.size(); ++i) {
    index.read_marks[i] = Load<std::uint32_t>(bytes, 100 + 4 * i);
  }
  index.backfill_attempted = Load<std::uint32_t>(bytes, 128);
  return index;
}

}  // namespace walmanager
