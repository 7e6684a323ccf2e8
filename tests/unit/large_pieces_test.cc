#include "ext/core/base/large_pieces.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

using namespace walmanager;

namespace {

constexpr int kPage = 4096, kFull = 13, kShortRead = 522, kReadError = 266;

struct Calls {
  int reads = 0, writes = 0;
  int write_error = 0;                // what the next writes return
  std::int64_t unreadable_from = -1;  // -1: all of it can be read
  std::string content;
};

struct FakeFile final : PagedFile {
  explicit FakeFile(Calls& the_calls) : calls(the_calls) {}
  int Read(void* to, int bytes, std::int64_t at) override {
    ++calls.reads;
    if (calls.unreadable_from >= 0 && at + bytes > calls.unreadable_from) return kReadError;
    std::string read(static_cast<std::size_t>(bytes), '\0');
    const auto size = static_cast<std::int64_t>(calls.content.size());
    const std::int64_t there = std::clamp<std::int64_t>(size - at, 0, bytes);
    if (there > 0) calls.content.copy(read.data(), there, at);
    read.copy(static_cast<char*>(to), read.size());
    return there == bytes ? 0 : kShortRead;
  }
  int Write(const void* from, int bytes, std::int64_t at) override {
    ++calls.writes;
    if (calls.write_error != 0) return calls.write_error;
    calls.content.resize(std::max<std::size_t>(calls.content.size(), at + bytes));
    calls.content.replace(at, bytes, static_cast<const char*>(from), bytes);
    return 0;
  }
  int Truncate(std::int64_t size) override {
    calls.content.resize(size);
    return 0;
  }
  int Size(std::int64_t* size) override {
    *size = static_cast<std::int64_t>(calls.content.size());
    return 0;
  }
  Calls& calls;
};

struct LargePiecesTest : testing::Test {
  std::string ReadPage(int number) {
    std::string page(kPage, '?');
    EXPECT_EQ(pieces.Read(page.data(), kPage, std::int64_t{number} * kPage), 0);
    return page;
  }
  int WritePage(int number, char with) {
    return pieces.Write(std::string(kPage, with).data(), kPage, std::int64_t{number} * kPage);
  }
  void Fill(int pages) {
    for (int i = 0; i < pages; ++i)
      calls.content += std::string(kPage, static_cast<char>('a' + i % 26));
  }
  Calls calls;
  LargePieces pieces{std::make_unique<FakeFile>(calls)};
};

TEST_F(LargePiecesTest, ReadsInPiecesForwardsAndBackwards) {
  Fill(1000);
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(ReadPage(i)[7], 'a' + i % 26);
  EXPECT_LE(calls.reads, 34);
  calls.reads = 0;
  for (int i = 999; i >= 0; --i) ASSERT_EQ(ReadPage(i)[7], 'a' + i % 26);
  EXPECT_LE(calls.reads, 35);
}

TEST_F(LargePiecesTest, PagesLeftOutAndFarOnesBetweenDoNotMatter) {
  Fill(1000);
  for (int i = 10; i < 1000; i += 3) {
    ReadPage(i);
    if (i % 100 == 0) ReadPage(i / 200);
  }
  EXPECT_LE(calls.reads, 80);
}

TEST_F(LargePiecesTest, PagesHereAndThereAreReadAsTheyAre) {
  Fill(1000);
  for (int i = 0; i < 200; ++i) ReadPage(i * 389 % 1000);
  EXPECT_LE(calls.reads, 205);
}

TEST_F(LargePiecesTest, WritesInPieces) {
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(WritePage(i, static_cast<char>('a' + i % 26)), 0);
  EXPECT_EQ(pieces.Flush(), 0);
  EXPECT_EQ(calls.writes, 33);
  const std::string written = std::move(calls.content);
  calls.content.clear();
  Fill(1000);
  EXPECT_EQ(written, calls.content);
}

TEST_F(LargePiecesTest, ReadsWhatWasWritten) {
  Fill(20);
  EXPECT_EQ(ReadPage(0)[0], 'a');
  EXPECT_EQ(ReadPage(1)[0], 'b');
  ASSERT_EQ(WritePage(1, 'X'), 0);
  EXPECT_EQ(ReadPage(1)[0], 'X');
  ASSERT_EQ(WritePage(2, 'Y'), 0);
  EXPECT_EQ(pieces.Truncate(2 * kPage), 0);
  EXPECT_EQ(calls.content.size(), std::size_t{2 * kPage});
  char page[kPage];
  EXPECT_EQ(pieces.Read(page, kPage, 2 * kPage), kShortRead);
}

TEST_F(LargePiecesTest, AnErrorOfALaterWriteIsNotForgotten) {
  calls.write_error = kFull;
  EXPECT_EQ(WritePage(0, 'a'), 0);
  EXPECT_EQ(WritePage(7, 'b'), kFull);
  calls.write_error = 0;
  EXPECT_EQ(WritePage(7, 'b'), kFull);
  EXPECT_EQ(pieces.Flush(), kFull);
  EXPECT_EQ(pieces.Truncate(0), kFull);
  char page[kPage];
  EXPECT_EQ(pieces.Read(page, kPage, 0), kFull);
  EXPECT_EQ(calls.content, "");
}

TEST_F(LargePiecesTest, APartThatCannotBeReadLeavesTheRestReadable) {
  Fill(40);
  calls.unreadable_from = 25 * kPage;
  for (int i = 0; i < 25; ++i) ASSERT_EQ(ReadPage(i)[0], 'a' + i % 26);
  char page[kPage];
  EXPECT_EQ(pieces.Read(page, kPage, 25 * kPage), kReadError);
}

// Compared with a file that is read and written without pieces.
TEST_F(LargePiecesTest, AnyOrderOfCallsGivesTheSameAsWithoutPieces) {
  std::mt19937 random(7);
  for (const int page : {512, 4096, 8192, 65536, 100'000, 200'000}) {
    Calls plain_calls;
    FakeFile plain(plain_calls);
    Calls piece_calls;
    LargePieces in_pieces(std::make_unique<FakeFile>(piece_calls));
    std::vector<char> a(page), b(page);
    std::int64_t at = 0;
    for (int i = 0; i < 20'000; ++i) {
      const auto what = random() % 100;
      at = what % 3 == 0   ? at + page
           : what % 3 == 1 ? std::max<std::int64_t>(0, at - page)
                           : static_cast<std::int64_t>(random() % 60) * page;
      if (what == 99) {
        ASSERT_EQ(plain.Truncate(at), in_pieces.Truncate(at));
      } else if (what == 98) {
        ASSERT_EQ(in_pieces.Flush(), 0);
        ASSERT_EQ(plain_calls.content, piece_calls.content);
      } else if (what % 2 == 0) {
        std::fill(a.begin(), a.end(), static_cast<char>(random()));
        ASSERT_EQ(plain.Write(a.data(), page, at), in_pieces.Write(a.data(), page, at));
      } else {
        ASSERT_EQ(plain.Read(a.data(), page, at), in_pieces.Read(b.data(), page, at));
        ASSERT_EQ(a, b);
      }
    }
  }
}

}  // namespace
