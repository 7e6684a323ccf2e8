// The headers of a log and of its frames are decoded as https://www.sqlite.org/fileformat.html,
// section 4.1, lays them out, and a log is told from another by them.
#include "ext/core/format/log_format.h"

#include <gtest/gtest.h>

#include <array>

namespace walmanager {
namespace {

template <std::size_t kBytes>
std::array<std::byte, kBytes> Bytes(const unsigned char (&values)[kBytes]) {
  std::array<std::byte, kBytes> bytes;
  for (std::size_t i = 0; i < kBytes; ++i) bytes[i] = static_cast<std::byte>(values[i]);
  return bytes;
}

constexpr unsigned char kLog[32] = {
    0x37, 0x7f, 0x06, 0x82, 0x00, 0x2d, 0xe2, 0x18, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x01,
    0xff, 0xe4, 0x3b, 0x25, 0x64, 0xc5, 0xbc, 0xee, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88};
constexpr unsigned char kFrame[24] = {0x00, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00, 0x09,
                                      0xff, 0xe4, 0x3b, 0x25, 0x64, 0xc5, 0xbc, 0xee,
                                      0x38, 0x6a, 0xb3, 0x0e, 0x77, 0xb2, 0x0c, 0x08};

WalIndex Index() {
  WalIndex index;
  index.page_size = 4096;
  index.max_frame = 6;
  index.salt1 = 0xffe43b25;
  index.salt2 = 0x64c5bcee;
  index.frame_checksum = {0x386ab30e, 0x77b20c08};
  return index;
}

TEST(LogFormat, HeadersAreBigEndian) {
  const LogHeader log = DecodeLogHeader(Bytes(kLog));
  EXPECT_EQ(log.salt1, 0xffe43b25u);
  EXPECT_EQ(log.salt2, 0x64c5bceeu);
  const FrameHeader frame = DecodeFrameHeader(Bytes(kFrame));
  EXPECT_EQ(frame.page, 7u);
  EXPECT_EQ(frame.salt1, 0xffe43b25u);
  EXPECT_EQ(frame.salt2, 0x64c5bceeu);
  EXPECT_EQ(frame.checksum, (std::array<std::uint32_t, 2>{0x386ab30e, 0x77b20c08}));
}

// Two headers that SQLite 3.40.1 wrote, the second after PRAGMA wal_checkpoint(RESTART).
constexpr unsigned char kBefore[32] = {
    0x37, 0x7f, 0x06, 0x82, 0x00, 0x2d, 0xe2, 0x18, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00,
    0xcf, 0x5e, 0x14, 0xe8, 0x63, 0x40, 0xe2, 0xda, 0xbc, 0xfb, 0x61, 0xe2, 0x4f, 0xc5, 0x79, 0xea};
constexpr unsigned char kAfter[32] = {
    0x37, 0x7f, 0x06, 0x82, 0x00, 0x2d, 0xe2, 0x18, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x01,
    0xcf, 0x5e, 0x14, 0xe9, 0xe3, 0x7a, 0x21, 0x05, 0xbe, 0xfb, 0x61, 0xe2, 0x7d, 0x04, 0xb4, 0x6a};

TEST(LogFormat, TheNextHeaderIsTheOneThatSqliteWrites) {
  const auto next = NextLogHeader(Bytes(kBefore), {0xcf5e14e9, 0xe37a2105});
  ASSERT_TRUE(next.has_value());
  EXPECT_EQ(*next, Bytes(kAfter));
}

TEST(LogFormat, BytesThatAreNoHeaderHaveNoNextHeader) {
  EXPECT_FALSE(NextLogHeader(std::array<std::byte, 32>{}, {1, 2}).has_value());
  for (std::size_t at = 0; at < 32; ++at) {
    auto torn = Bytes(kBefore);
    torn[at] ^= std::byte{0x10};
    EXPECT_FALSE(NextLogHeader(torn, {1, 2}).has_value()) << at;
  }
}

TEST(LogFormat, FramesFollowTheHeader) {
  EXPECT_EQ(FramePlace(1, 4096), 32);
  EXPECT_EQ(FramePlace(3, 4096), 32 + 2 * 4120);
  EXPECT_EQ(FramePlace(0xffffffff, 65536), 32 + 0xfffffffeLL * 65560);
}

TEST(LogFormat, ALogIsKnownByItsSaltsAndTheChecksumOfItsNewestFrame) {
  const LogHeader log = DecodeLogHeader(Bytes(kLog));
  const FrameHeader frame = DecodeFrameHeader(Bytes(kFrame));
  EXPECT_TRUE(IsLogOf(Index(), log, frame));
  WalIndex other = Index();
  other.salt1 += 1;
  EXPECT_FALSE(IsLogOf(other, log, frame));
  other = Index();
  other.frame_checksum[1] ^= 1;
  EXPECT_FALSE(IsLogOf(other, log, frame));
  // A file with a hole where the first frames should be, and one that ends before the newest.
  EXPECT_FALSE(IsLogOf(Index(), {}, frame));
  EXPECT_FALSE(IsLogOf(Index(), log, {}));
}

TEST(LogFormat, AnEmptyLogIsKnownByItsHeader) {
  const LogHeader log = DecodeLogHeader(Bytes(kLog));
  WalIndex index = Index();
  index.max_frame = 0;
  EXPECT_TRUE(IsEmptyLogOf(index, log));
  // It is about to start over: the wal-index has the next salts, the file still the previous ones.
  index.salt1 += 1;
  index.salt2 = 1;
  EXPECT_TRUE(IsEmptyLogOf(index, log));
  index.salt1 += 1;
  EXPECT_FALSE(IsEmptyLogOf(index, log));
}

}  // namespace
}  // namespace walmanager
