// The wal-index is decoded as https://www.sqlite.org/walformat.html, section 2, lays it out; bytes
// that are torn, not initialised or too few are refused.
#include "ext/core/format/wal_index_format.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace walmanager {
namespace {

using Bytes = std::vector<std::byte>;

// The first 136 bytes of a -shm file as SQLite 3.40.1 left it on x86-64: six frames, five of them
// moved, one reader on mark 1.
constexpr unsigned char kGolden[] = {
    0x18, 0xe2, 0x2d, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x10,
    0x06, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x0e, 0xb3, 0x6a, 0x38, 0x08, 0x0c, 0xb2, 0x77,
    0xff, 0xe4, 0x3b, 0x25, 0x64, 0xc5, 0xbc, 0xee, 0xc0, 0x5e, 0xdb, 0x93, 0x75, 0x6f, 0x78, 0x86,
    0x18, 0xe2, 0x2d, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x10,
    0x06, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x0e, 0xb3, 0x6a, 0x38, 0x08, 0x0c, 0xb2, 0x77,
    0xff, 0xe4, 0x3b, 0x25, 0x64, 0xc5, 0xbc, 0xee, 0xc0, 0x5e, 0xdb, 0x93, 0x75, 0x6f, 0x78, 0x86,
    0x05, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00, 0x06, 0x00, 0x00, 0x00,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x05, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
};
static_assert(sizeof kGolden == kWalIndexSnapshotBytes);

template <typename T>
void Put(Bytes& bytes, std::size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

Bytes Golden() {
  Bytes bytes(kWalIndexSnapshotBytes);
  std::memcpy(bytes.data(), kGolden, sizeof kGolden);
  return bytes;
}

// Integers in the machine's order, at the offsets of the document, in both copies of the header.
template <typename T>
void PutInHeader(Bytes& bytes, std::size_t offset, T value) {
  Put(bytes, offset, value);
  Put(bytes, 48 + offset, value);
}

TEST(WalIndexFormat, ReadsWhatSqliteWrote) {
  const auto index = DecodeWalIndex(Golden());
  ASSERT_TRUE(index.has_value());
  EXPECT_EQ(index->change_counter, 5u);
  EXPECT_EQ(index->page_size, 4096u);
  EXPECT_EQ(index->max_frame, 6u);
  EXPECT_EQ(index->database_pages, 2u);
  // The log's own header, big-endian, said ffe43b25 64c5bcee.
  EXPECT_EQ(index->salt1, 0xffe43b25u);
  EXPECT_EQ(index->salt2, 0x64c5bceeu);
  EXPECT_EQ(index->frame_checksum, (std::array<std::uint32_t, 2>{0x386ab30e, 0x77b20c08}));
  EXPECT_EQ(index->backfill, 5u);
  EXPECT_EQ(index->backfill_attempted, 5u);
  EXPECT_EQ(index->read_marks,
            (std::array<std::uint32_t, kReadMarks>{0, 5, 6, 0xffffffffu, 0xffffffffu}));
  EXPECT_EQ(index->pending(), 1u);
  EXPECT_FALSE(index->complete());
}

TEST(WalIndexFormat, EveryFieldHasItsPlace) {
  Bytes bytes(kWalIndexSnapshotBytes);
  PutInHeader<std::uint32_t>(bytes, 0, 3007000);
  PutInHeader<std::uint32_t>(bytes, 8, 0x01020304);    // iChange
  PutInHeader<std::uint8_t>(bytes, 12, 1);             // isInit
  PutInHeader<std::uint16_t>(bytes, 14, 8192);         // szPage
  PutInHeader<std::uint32_t>(bytes, 16, 0xfffffff0u);  // mxFrame
  PutInHeader<std::uint32_t>(bytes, 20, 0x0a0b0c0d);   // nPage
  PutInHeader<std::uint32_t>(bytes, 32, 0x78563412);   // aSalt[0]: bytes 12 34 56 78
  PutInHeader<std::uint32_t>(bytes, 36, 0x00000001);   // aSalt[1]: bytes 01 00 00 00
  Put<std::uint32_t>(bytes, 96, 0xffffffe0u);          // nBackfill
  for (std::uint32_t i = 0; i < 5; ++i) Put<std::uint32_t>(bytes, 100 + 4 * i, 1000 + i);
  Put<std::uint64_t>(bytes, 120, ~std::uint64_t{0});  // the locks' bytes: not looked at
  Put<std::uint32_t>(bytes, 128, 77);                 // nBackfillAttempted
  const auto index = DecodeWalIndex(bytes);
  ASSERT_TRUE(index.has_value());
  EXPECT_EQ(index->change_counter, 0x01020304u);
  EXPECT_EQ(index->page_size, 8192u);
  EXPECT_EQ(index->max_frame, 0xfffffff0u);
  EXPECT_EQ(index->database_pages, 0x0a0b0c0du);
  EXPECT_EQ(index->salt1, 0x12345678u);
  EXPECT_EQ(index->salt2, 0x01000000u);
  EXPECT_EQ(index->backfill, 0xffffffe0u);
  EXPECT_EQ(index->pending(), 16u);
  EXPECT_EQ(index->read_marks,
            (std::array<std::uint32_t, kReadMarks>{1000, 1001, 1002, 1003, 1004}));
  EXPECT_EQ(index->backfill_attempted, 77u);
}

TEST(WalIndexFormat, PageSizes) {
  const auto page_size_of = [](std::uint16_t stored) {
    Bytes bytes = Golden();
    PutInHeader(bytes, 14, stored);
    const auto index = DecodeWalIndex(bytes);
    return index ? index->page_size : 0;
  };
  for (std::uint32_t size = 512; size <= 32768; size *= 2) {
    EXPECT_EQ(page_size_of(static_cast<std::uint16_t>(size)), size);
  }
  EXPECT_EQ(page_size_of(1), 65536u);
  // Not a power of two from 512 to 65536: not a wal-index.
  for (const std::uint16_t bad : {0, 2, 256, 513, 1536, 4097, 32769, 65535, 65024}) {
    EXPECT_EQ(page_size_of(bad), 0u) << bad;
  }
}

TEST(WalIndexFormat, ALogThatWasNeverWrittenHasNoPageSizeYet) {
  Bytes bytes = Golden();
  PutInHeader<std::uint16_t>(bytes, 14, 0);
  PutInHeader<std::uint32_t>(bytes, 16, 0);
  const auto index = DecodeWalIndex(bytes);
  ASSERT_TRUE(index.has_value());
  EXPECT_EQ(index->page_size, 0u);
  EXPECT_EQ(index->pending(), 0u);
}

TEST(WalIndexFormat, ATornHeaderIsRefusedWhereverItIsTorn) {
  for (std::size_t i = 0; i < 96; ++i) {
    Bytes bytes = Golden();
    bytes[i] ^= std::byte{0x40};
    EXPECT_FALSE(DecodeWalIndex(bytes).has_value()) << "byte " << i;
    EXPECT_FALSE(DecodeLogEnd(bytes).has_value()) << "byte " << i;
  }
}

TEST(WalIndexFormat, TheEndOfTheLogNeedsTheHeadersAlone) {
  const Bytes golden = Golden();
  const auto headers = std::span(golden).first(2 * kWalIndexHeaderBytes);
  const auto end = DecodeLogEnd(headers);
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->salt1, 0xffe43b25u);
  EXPECT_EQ(end->max_frame, 6u);
  EXPECT_EQ(DecodeWalIndex(golden)->end().salt1, end->salt1);
  EXPECT_EQ(DecodeWalIndex(golden)->end().max_frame, end->max_frame);
  for (std::size_t size = 0; size < headers.size(); ++size) {
    EXPECT_FALSE(DecodeLogEnd(headers.first(size)).has_value()) << size;
  }
}

TEST(WalIndexFormat, BytesAfterTheHeaderMayBeAnything) {
  for (std::size_t i = 96; i < kWalIndexSnapshotBytes; ++i) {
    Bytes bytes = Golden();
    bytes[i] ^= std::byte{0xff};
    const auto index = DecodeWalIndex(bytes);
    ASSERT_TRUE(index.has_value()) << "byte " << i;
    EXPECT_EQ(index->max_frame, 6u);
  }
}

TEST(WalIndexFormat, NotInitialisedOrOfAnotherVersion) {
  EXPECT_FALSE(DecodeWalIndex(Bytes(kWalIndexSnapshotBytes)).has_value()) << "all zeros";
  EXPECT_FALSE(DecodeWalIndex(Bytes(kWalIndexSnapshotBytes, std::byte{0xff})).has_value());
  Bytes bytes = Golden();
  PutInHeader<std::uint8_t>(bytes, 12, 0);
  EXPECT_FALSE(DecodeWalIndex(bytes).has_value()) << "isInit";
  for (const std::uint32_t version : {0u, 3006999u, 3007001u, 0x18e22d00u}) {
    bytes = Golden();
    PutInHeader(bytes, 0, version);
    EXPECT_FALSE(DecodeWalIndex(bytes).has_value()) << version;
  }
}

TEST(WalIndexFormat, ShortSnapshotsAreRefusedAndLongOnesAreNot) {
  Bytes bytes = Golden();
  EXPECT_FALSE(DecodeWalIndex({}).has_value());
  for (const std::size_t size :
       {std::size_t{1}, std::size_t{48}, std::size_t{96}, kWalIndexSnapshotBytes - 1}) {
    EXPECT_FALSE(DecodeWalIndex(std::span(bytes).first(size)).has_value()) << size;
  }
  bytes.resize(32768);
  EXPECT_TRUE(DecodeWalIndex(bytes).has_value());
}

TEST(WalIndexFormat, TheBytesNeedNoAlignment) {
  Bytes shifted(1);
  const Bytes golden = Golden();
  shifted.insert(shifted.end(), golden.begin(), golden.end());
  const auto index = DecodeWalIndex(std::span(shifted).subspan(1));
  ASSERT_TRUE(index.has_value());
  EXPECT_EQ(index->max_frame, 6u);
}

// https://www.sqlite.org/fileformat.html, sections 3 and 4.1: what a rollback journal and a log
// begin with.
TEST(WalIndexFormat, ALogIsToldFromARollbackJournal) {
  const auto is_log = [](std::initializer_list<unsigned char> bytes) {
    return IsLogMagic(std::as_bytes(std::span(bytes.begin(), bytes.size())));
  };
  EXPECT_TRUE(is_log({0x37, 0x7f, 0x06, 0x82}));
  EXPECT_TRUE(is_log({0x37, 0x7f, 0x06, 0x83, 0x00}));
  EXPECT_FALSE(is_log({0x37, 0x7f, 0x06, 0x80}));
  EXPECT_FALSE(is_log({0x82, 0x06, 0x7f, 0x37}));
  EXPECT_FALSE(is_log({0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7}));
  EXPECT_FALSE(is_log({0x00, 0x00, 0x00, 0x00}));
  EXPECT_FALSE(is_log({0x37, 0x7f, 0x06}));
  EXPECT_FALSE(is_log({}));
}

TEST(WalIndexFormat, CompleteMeansCheckpointedEqualsLog) {
  const auto with = [](std::uint32_t max_frame, std::uint32_t backfill) {
    WalIndex index;
    index.max_frame = max_frame;
    index.backfill = backfill;
    return index;
  };
  EXPECT_TRUE(with(0, 0).complete());
  EXPECT_TRUE(with(6, 6).complete());
  EXPECT_EQ(with(6, 6).pending(), 0u);
  EXPECT_FALSE(with(6, 0).complete());
  EXPECT_EQ(with(6, 0).pending(), 6u);
  // Just after a reset the checkpoint's number can be of the log before.
  EXPECT_TRUE(with(0, 6).complete());
  EXPECT_EQ(with(0, 6).pending(), 0u);
}

}  // namespace
}  // namespace walmanager
