// The first words of a statement say what it is about to do.
#include "ext/core/text/statement_text.h"

#include <gtest/gtest.h>

namespace walmanager {
namespace {

using Kind = StatementKind;

TEST(StatementText, KindsInAnySpelling) {
  const struct {
    const char* sql;
    Kind kind;
  } kCases[] = {
      {"PRAGMA wal_autocheckpoint=100", Kind::kSetsAutocheckpoint},
      {"pragma main.Wal_AutoCheckpoint ( 0 )", Kind::kSetsAutocheckpoint},
      {"PRAGMA wal_autocheckpoint", Kind::kReadsAutocheckpoint},
      {"PRAGMA journal_mode = DELETE", Kind::kWantsDatabase},
      {"PRAGMA \"x\".\"journal_mode\"=wal", Kind::kOther},
      {"PRAGMA journal_mode=WAL", Kind::kOther},
      {"PRAGMA journal_mode = 'wal'", Kind::kOther},
      {"PRAGMA journal_mode(\"WAL\")", Kind::kOther},
      {"PRAGMA journal_mode = /* x */ [wal]", Kind::kOther},
      {"PRAGMA journal_mode='delete'", Kind::kWantsDatabase},
      {"PRAGMA journal_mode=", Kind::kWantsDatabase},
      {"PRAGMA locking_mode=NORMAL", Kind::kOther},
      {"PRAGMA wal_checkpoint", Kind::kCheckpoints},
      {"PRAGMA main.wal_checkpoint(TRUNCATE)", Kind::kCheckpoints},
      {"PRAGMA journal_mode", Kind::kOther},
      {"PRAGMA locking_mode(EXCLUSIVE)", Kind::kWantsDatabase},
      {"PRAGMA cache_size=-4000", Kind::kOther},
      {"PRAGMA main.Synchronous = FULL", Kind::kSetsSynchronous},
      {"PRAGMA synchronous", Kind::kOther},
      {"PRAGMA page_size = 8192", Kind::kSetsLayout},
      {"PRAGMA main.auto_vacuum(full)", Kind::kSetsLayout},
      {"PRAGMA page_size", Kind::kOther},
      {"ATTACH 'x' AS y", Kind::kAttach},
      {"detach database y", Kind::kDetach},
      {"DELETE FROM t", Kind::kOther},
      {"COMMIT", Kind::kEndsTransaction},
      {"commit transaction", Kind::kEndsTransaction},
      {"END", Kind::kEndsTransaction},
      {"ROLLBACK TO s", Kind::kRollback},
      {"release s", Kind::kEndsTransaction},
      {"REPLACE INTO t VALUES (1)", Kind::kOther},
      {"CREATE TABLE t(a)", Kind::kOther},
      {"EXPLAIN QUERY PLAN SELECT 1", Kind::kOther},
      {"SELECT 'PRAGMA journal_mode=x'", Kind::kOther},
      {"", Kind::kOther},
  };
  for (const auto& test : kCases) EXPECT_EQ(ClassifyStatement(test.sql), test.kind) << test.sql;
}

TEST(StatementText, WhatACheckpointAsksFor) {
  const struct {
    const char *sql, *schema, *mode;
  } kCases[] = {
      {"PRAGMA wal_checkpoint", "", ""},
      {"pragma wal_checkpoint(Truncate);", "", "Truncate"},
      {"; /* a */ PRAGMA main . wal_checkpoint = 'FULL'", "main", "FULL"},
      {"PRAGMA \"a b\".wal_checkpoint(\"restart\")", "a b", "restart"},
      {"PRAGMA 'x'.[wal_checkpoint]", "x", ""},
      {"PRAGMA", "", ""},
      {"", "", ""},
  };
  for (const auto& test : kCases) {
    const CheckpointPragma pragma = ReadCheckpointPragma(test.sql);
    EXPECT_EQ(pragma.schema, test.schema) << test.sql;
    EXPECT_EQ(pragma.mode, test.mode) << test.sql;
  }
}

TEST(StatementText, ZeroAsAutocheckpoint) {
  for (const char* sql : {"PRAGMA wal_autocheckpoint=0", "pragma main.wal_autocheckpoint('0')",
                          "PRAGMA wal_autocheckpoint = 00 ;"}) {
    EXPECT_TRUE(SetsAutocheckpointToZero(sql)) << sql;
  }
  for (const char* sql : {"PRAGMA wal_autocheckpoint=-1", "PRAGMA wal_autocheckpoint=off",
                          "PRAGMA wal_autocheckpoint=010", "PRAGMA wal_autocheckpoint",
                          "PRAGMA wal_autocheckpoint=0x10"}) {
    EXPECT_FALSE(SetsAutocheckpointToZero(sql)) << sql;
  }
}

TEST(StatementText, SpaceAndCommentsArePassedOver) {
  EXPECT_EQ(ClassifyStatement(" \t\r\n -- a line\n /* and * more */\fCOMMIT"),
            Kind::kEndsTransaction);
  EXPECT_EQ(ClassifyStatement(" ;; /* a */;PRAGMA journal_mode=DELETE"), Kind::kWantsDatabase);
  EXPECT_EQ(ClassifyStatement("\xef\xbb\xbfPRAGMA journal_mode=DELETE"), Kind::kWantsDatabase);
  EXPECT_EQ(ClassifyStatement("-- to the end"), Kind::kOther);
  EXPECT_EQ(ClassifyStatement("/* never closed COMMIT"), Kind::kOther);
  EXPECT_EQ(ClassifyStatement("/*/COMMIT"), Kind::kOther);
  EXPECT_EQ(ClassifyStatement("/**/COMMIT"), Kind::kEndsTransaction);
}

}  // namespace
}  // namespace walmanager
