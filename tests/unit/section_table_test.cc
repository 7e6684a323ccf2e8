#include "ext/core/control/section_table.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>

#include "ext/core/control/control_layout.h"

namespace walmanager {
namespace {

using layout::kBlockBytes;
using layout::kFirstBytes;
using layout::SectionKind;

constexpr std::uint64_t kFileBytes = kFirstBytes + 100 * kBlockBytes;

std::uint64_t Word(std::uint64_t kind, std::uint64_t version, std::uint64_t index,
                   std::uint64_t block) {
  return kind | version << 8 | index << 16 | block << 32;
}

constexpr std::uint64_t kFirstBlock = kFirstBytes / kBlockBytes;

struct SectionTableTest : testing::Test {
  std::unique_ptr<layout::SectionTable> table = std::make_unique<layout::SectionTable>();
  void Put(std::size_t i, std::uint64_t word) { table->words[i] = word; }
};

TEST_F(SectionTableTest, ASectionThatIsAppendedIsRead) {
  const SectionShape* shape = ShapeOf(SectionKind::kMinutes);
  EXPECT_EQ(NextSectionAt(*table, kFileBytes), kFirstBytes);
  AppendSection(*table, {SectionKind::kMinutes, 2, kFirstBytes, shape});
  ASSERT_EQ(CountSections(*table), 1u);
  const auto section = ReadSection(*table, 0, kFileBytes);
  ASSERT_TRUE(section);
  EXPECT_EQ(section->kind, SectionKind::kMinutes);
  EXPECT_EQ(section->index, 2u);
  EXPECT_EQ(section->at, kFirstBytes);
  EXPECT_EQ(section->offset(), offsetof(layout::ControlFile, minutes) + 2 * kBlockBytes);
  EXPECT_EQ(NextSectionAt(*table, kFileBytes), kFirstBytes + kBlockBytes);
  EXPECT_TRUE(NamesSection(*table, SectionKind::kMinutes, 2));
  EXPECT_FALSE(NamesSection(*table, SectionKind::kMinutes, 1));
}

TEST_F(SectionTableTest, LongSectionsTakeTheirBlocks) {
  AppendSection(*table,
                {SectionKind::kManySlabs, 0, kFirstBytes, ShapeOf(SectionKind::kManySlabs)});
  EXPECT_EQ(NextSectionAt(*table, kFileBytes), kFirstBytes + layout::kManyBlocks * kBlockBytes);
}

TEST_F(SectionTableTest, ARecordMayLieInTwoSections) {
  EXPECT_FALSE(SectionsOf(SectionKind::kMoreQueries, layout::kFirstQueries - 1));
  const auto first = SectionsOf(SectionKind::kMoreQueries, layout::kFirstQueries);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->first, 0u);
  EXPECT_EQ(first->last, 0u);
  // The one that reaches beyond the end of the first section.
  const std::size_t crossing = layout::kFirstQueries + kBlockBytes / sizeof(layout::QueryEntry);
  const auto both = SectionsOf(SectionKind::kMoreQueries, crossing);
  ASSERT_TRUE(both);
  EXPECT_EQ(both->first, 0u);
  EXPECT_EQ(both->last, 1u);
}

TEST_F(SectionTableTest, TheLastRecordOfEachKindIsInItsLastSection) {
  for (std::size_t number = 1; number < layout::kSectionKinds; ++number) {
    const auto kind = static_cast<SectionKind>(number);
    const SectionShape& shape = *ShapeOf(kind);
    const auto range = SectionsOf(kind, shape.records - 1);
    ASSERT_TRUE(range) << number;
    EXPECT_EQ(range->last, shape.sections() - 1) << number;
  }
}

TEST_F(SectionTableTest, WhatCannotBeASectionIsNone) {
  const struct {
    const char* why;
    std::uint64_t word;
  } kCases[] = {
      {"no such kind", Word(200, 1, 0, kFirstBlock)},
      {"another version", Word(9, 2, 0, kFirstBlock)},
      {"no such section", Word(9, 1, 60'000, kFirstBlock)},
      {"in the first part", Word(9, 1, 0, kFirstBlock - 1)},
      {"beyond the end of the file", Word(9, 1, 0, kFirstBlock + 100)},
      {"far beyond it", Word(9, 1, 0, 0xffffffff)},
  };
  for (const auto& each : kCases) {
    Put(0, each.word);
    EXPECT_FALSE(ReadSection(*table, 0, kFileBytes)) << each.why;
  }
}

TEST_F(SectionTableTest, SectionsThatOverlapOrComeTwiceCountOnce) {
  Put(0, Word(9, 1, 0, kFirstBlock));
  Put(1, Word(9, 1, 0, kFirstBlock + 1));
  Put(2, Word(9, 1, 1, kFirstBlock));
  Put(3, Word(5, 1, 0, kFirstBlock + 1));  // sixteen blocks
  Put(4, Word(9, 1, 2, kFirstBlock + 16));
  EXPECT_TRUE(ReadSection(*table, 0, kFileBytes));
  EXPECT_FALSE(ReadSection(*table, 1, kFileBytes)) << "twice";
  EXPECT_FALSE(ReadSection(*table, 2, kFileBytes)) << "the same place";
  EXPECT_FALSE(ReadSection(*table, 4, kFileBytes)) << "within a longer one";
}

TEST_F(SectionTableTest, ANewerVersionsSectionIsSkippedAndNotOverwritten) {
  Put(0, Word(9, 7, 0, kFirstBlock));
  Put(1, Word(9, 1, 0, kFirstBlock + 20));
  EXPECT_FALSE(ReadSection(*table, 0, kFileBytes));
  EXPECT_TRUE(ReadSection(*table, 1, kFileBytes));
  EXPECT_TRUE(HasUnknownSections(*table));
  EXPECT_EQ(EndOfSections(*table), kFirstBytes + 21 * kBlockBytes);
  EXPECT_EQ(NextSectionAt(*table, kFileBytes - 1), kFileBytes) << "its length is not known";
}

TEST_F(SectionTableTest, OnlyAnImpossibleEntryOfThisVersionIsDamage) {
  Put(0, Word(9, 7, 0, kFirstBlock));
  Put(1, Word(200, 1, 0, 0));
  Put(2, Word(9, 1, 0, kFirstBlock + 20));
  EXPECT_FALSE(IsDamaged(*table, kFileBytes));
  EXPECT_TRUE(IsDamaged(*table, kFirstBytes + 20 * kBlockBytes)) << "cut short";
  Put(3, Word(9, 1, 1, kFirstBlock - 1));
  EXPECT_TRUE(IsDamaged(*table, kFileBytes));
}

TEST_F(SectionTableTest, AFullOrImpossibleTableGrowsNoMore) {
  for (auto& word : table->words) word = Word(9, 1, 0, kFirstBlock);
  EXPECT_FALSE(NextSectionAt(*table, kFileBytes));
  table = std::make_unique<layout::SectionTable>();
  Put(0, Word(9, 1, 0, 0xffffffff));
  EXPECT_FALSE(NextSectionAt(*table, kFileBytes));
  EXPECT_FALSE(EndOfSections(*table));
}

TEST_F(SectionTableTest, NoSectionIsAppendedAfterOneThatTheFileHasNot) {
  Put(0, Word(9, 1, 0, kFirstBlock + 100));
  EXPECT_FALSE(NextSectionAt(*table, kFileBytes));
  EXPECT_TRUE(NextSectionAt(*table, kFileBytes + kBlockBytes));
}

TEST_F(SectionTableTest, AnyWordsGiveSectionsWithinFileAndMemory) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 200; ++round) {
    for (auto& word : table->words) {
      word = Word(random() % 14, random() % 3, random() % 70, random() % 130);
    }
    std::vector<Section> sections;
    for (std::size_t i = 0; i < CountSections(*table); ++i) {
      const auto section = ReadSection(*table, i, kFileBytes);
      if (!section) continue;
      EXPECT_GE(section->at, kFirstBytes);
      EXPECT_LE(section->at + section->bytes(), kFileBytes);
      EXPECT_LE(section->offset() + section->bytes(), section->shape->is_many
                                                          ? sizeof(layout::ManyConnections)
                                                          : sizeof(layout::ControlFile));
      for (const Section& other : sections) {
        EXPECT_TRUE(section->at >= other.at + other.bytes() ||
                    other.at >= section->at + section->bytes());
      }
      sections.push_back(*section);
    }
  }
}

}  // namespace
}  // namespace walmanager
