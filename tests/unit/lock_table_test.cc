// Locks are found in text as /proc/locks has it (proc_locks(5)); other lines are passed over.
#include "ext/core/format/lock_table.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace walmanager {
namespace {

constexpr std::int64_t kToTheEnd = std::numeric_limits<std::int64_t>::max();
constexpr FileIdentity kFile{0xfe, 0x00, 10953096};

// "pid R|W first-last", one per lock.
std::string Shown(std::string_view table, const FileIdentity& file = kFile) {
  std::string shown;
  const LockTable locks(table);
  for (const FileLock& lock : locks.On(file)) {
    shown += std::to_string(lock.pid) + (lock.exclusive ? " W " : " R ") +
             std::to_string(lock.first_byte) + "-" +
             (lock.last_byte == kToTheEnd ? "EOF" : std::to_string(lock.last_byte)) + "\n";
  }
  return shown;
}

TEST(LockTable, TheLocksOfOneFileInTheirOrder) {
  constexpr std::string_view kTable =
      "1: POSIX  ADVISORY  READ 12093 fe:00:10953017 1073741826 1073742335\n"
      "2: POSIX  ADVISORY  WRITE 12066 fe:00:10952746 1099511627794 1099511627794\n"
      "3: POSIX  ADVISORY  READ 12066 fe:00:10953096 128 128\n"
      "4: FLOCK  ADVISORY  WRITE 801 fe:00:10953096 0 EOF\n"
      "5: LEASE  ACTIVE    READ  802 fe:00:10953096 0 EOF\n"
      "6: DELEG  ACTIVE    READ  803 fe:00:10953096 0 EOF\n"
      "7: POSIX  ADVISORY  WRITE 12065 fe:00:10953096 120 120\n"
      "7: -> POSIX  ADVISORY  WRITE 12064 fe:00:10953096 120 120\n"
      "7:  -> POSIX  ADVISORY  READ 12063 fe:00:10953096 120 120\n"
      "8: OFDLCK ADVISORY  READ -1 fe:00:10953096 124 125\n"
      "9: POSIX  MANDATORY READ 0 fe:00:10953096 123 EOF\n"
      "10: ACCESS ADVISORY  READ 12062 fe:00:10953096 0 EOF\n";
  EXPECT_EQ(Shown(kTable),
            "12066 R 128-128\n"
            "12065 W 120-120\n"
            "0 R 124-125\n"
            "0 R 123-EOF\n");
  EXPECT_EQ(Shown(kTable, {0xfe, 0x00, 10953017}), "12093 R 1073741826-1073742335\n");
}

TEST(LockTable, AFileIsItsDeviceAndInode) {
  const std::string line = "1: POSIX  ADVISORY  READ 7 08:1f:42 123 123\n";
  EXPECT_EQ(Shown(line, {0x08, 0x1f, 42}), "7 R 123-123\n");
  EXPECT_EQ(Shown(line, {0x08, 0x1f, 43}), "");
  EXPECT_EQ(Shown(line, {0x08, 0x1e, 42}), "");
  EXPECT_EQ(Shown(line, {0x09, 0x1f, 42}), "");
  // The device is in hexadecimal, the inode is not.
  EXPECT_EQ(Shown("1: POSIX  ADVISORY  READ 7 103:10:10 1 2\n", {0x103, 0x10, 10}), "7 R 1-2\n");
  EXPECT_EQ(Shown("1: POSIX  ADVISORY  READ 7 103:10:10 1 2\n", {103, 10, 10}), "");
}

TEST(LockTable, OnlyAWholeInodeIsTheFiles) {
  constexpr std::string_view kTable =
      "1: POSIX  ADVISORY  READ 7 08:1f:1420 1 1\n"
      "2: POSIX  ADVISORY  READ 42 08:1f:43 42 42\n"
      "3: POSIX  ADVISORY  READ 8 08:1f:42 2 2";  // the end is missing
  EXPECT_EQ(Shown(kTable, {0x08, 0x1f, 42}), "8 R 2-2\n");
  EXPECT_EQ(Shown("1: POSIX  ADVISORY  READ 7 08:1f:42", {0x08, 0x1f, 42}), "");
  EXPECT_EQ(Shown("", {0x08, 0x1f, 42}), "");
}

TEST(LockTable, LargeNumbers) {
  EXPECT_EQ(Shown("99999: POSIX  ADVISORY  WRITE 4194304 fffff:fffff:18446744073709551615 "
                  "1073741826 9223372036854775807\n",
                  {0xfffff, 0xfffff, ~std::uint64_t{0}}),
            "4194304 W 1073741826-EOF\n");
  // One beyond the largest number is not a number.
  EXPECT_EQ(Shown("1: POSIX  ADVISORY  READ 7 00:00:18446744073709551616 1 2\n", {0, 0, 0}), "");
  EXPECT_EQ(Shown("1: POSIX  ADVISORY  READ 7 fe:00:10953096 1 9223372036854775808\n"), "");
  EXPECT_EQ(Shown("1: POSIX  ADVISORY  READ 99999999999999999999 fe:00:10953096 1 2\n"), "");
}

TEST(LockTable, ALastLineNeedsNoNewline) {
  EXPECT_EQ(Shown("1: POSIX  ADVISORY  READ 7 fe:00:10953096 123 EOF"), "7 R 123-EOF\n");
  EXPECT_EQ(Shown("\n\n1: POSIX  ADVISORY  READ 7 fe:00:10953096 123 EOF\n\n"), "7 R 123-EOF\n");
}

TEST(LockTable, LinesThatDoNotParseArePassedOver) {
  for (const char* line : {
           "",
           " ",
           "1:",
           "1: POSIX",
           "1: POSIX  ADVISORY  READ 7",
           "1: POSIX  ADVISORY  READ 7 fe:00:10953096",
           "1: POSIX  ADVISORY  READ 7 fe:00:10953096 123",
           "1: POSIX  ADVISORY  READ seven fe:00:10953096 123 123",
           "1: POSIX  ADVISORY  READ 7x fe:00:10953096 123 123",
           "1: POSIX  ADVISORY  READ 7 fe:00:10953096 123 END",
           "1: POSIX  ADVISORY  READ 7 fe:00:10953096 EOF 123",
           "1: POSIX  ADVISORY  READ 7 fe:00:10953096 0x7b 0x7b",
           "1: POSIX  ADVISORY  READ 7 fe:00 123 123",
           "1: POSIX  ADVISORY  READ 7 fe00:10953096 123 123",
           "1: POSIX  ADVISORY  READ 7 fe:00:00:10953096 123 123",
           "1: POSIX  ADVISORY  READ 7 ::10953096 123 123",
           "1: POSIX  ADVISORY  READ 7 :: 123 123",
           "1: POSIX  ADVISORY  READ 7 : 123 123",
           "1: POSIX  *NOINODE* READ 7 <none>:0 123 123",
           "1: POSIX  ADVISORY  UNLCK 7 fe:00:10953096 123 123",
           "1: POSIX  ADVISORY  RW    7 fe:00:10953096 123 123",
           "1: UNKNOWN UNKNOWN  READ 7 fe:00:10953096 123 123",
           "POSIX  ADVISORY  READ 7 fe:00:10953096 123 123",
           "1: posix  ADVISORY  READ 7 fe:00:10953096 123 123",
       }) {
    EXPECT_EQ(Shown(line), "") << line;
  }
  const std::string noise("\0\xff\x80 : :: \n->", 12);
  EXPECT_EQ(Shown(noise + "\n1: POSIX  ADVISORY  READ 7 fe:00:10953096 123 123\n" + noise),
            "7 R 123-123\n");
}

TEST(LockTable, EveryCutOfALineIsPassedOverOrComplete) {
  const std::string line = "1: POSIX  ADVISORY  READ 7 fe:00:10953096 123 124";
  for (std::size_t size = 0; size < line.size(); ++size) {
    const std::string shown = Shown(std::string_view(line).substr(0, size));
    EXPECT_TRUE(shown.empty() || shown == "7 R 123-1\n" || shown == "7 R 123-12\n") << size;
  }
}

}  // namespace
}  // namespace walmanager
