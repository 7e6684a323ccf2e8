// Which indexes are reported, and what keeps one from being reported.
#include "ext/core/text/index_use.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace walmanager {
namespace {

IndexShape Index(const std::string& name, const std::vector<std::string>& columns) {
  IndexShape index{.name = name, .table = "T", .sql = "CREATE INDEX " + name + " ON T(...)"};
  for (const std::string& column : columns) index.parts.push_back({column, "binary", false});
  return index;
}

SeenStatement Seen(const std::string& text, const std::string& plan) {
  return {.text = text, .plan = plan, .plan_is_known = true, .one_text = true};
}

// "name: reason", "name: reason cover".
std::vector<std::string> Find(const SchemaOfIndexes& schema,
                              const std::vector<SeenStatement>& statements, bool all_seen = true) {
  constexpr const char* kReasons[] = {"not used", "prefix", "duplicate"};
  std::vector<std::string> found;
  for (const UnusedIndex& unused : FindUnusedIndexes(schema, statements, all_seen)) {
    std::string line = schema.indexes[unused.index].name + ": " +
                       kReasons[static_cast<std::size_t>(unused.reason)];
    if (unused.covered_by) line += " " + schema.indexes[*unused.covered_by].name;
    found.push_back(std::move(line));
  }
  return found;
}

using Lines = std::vector<std::string>;

const SeenStatement kById = Seen("SELECT * FROM t WHERE id = ?", "SEARCH T USING INDEX other");

TEST(IndexUse, AnIndexThatNoPlanUsesIsNotUsed) {
  const SchemaOfIndexes schema{.indexes = {Index("a", {"x"}), Index("b", {"y"})}};
  EXPECT_EQ(Find(schema, {Seen("SELECT * FROM t WHERE x = ?", "SEARCH T USING INDEX a (x=?)")}),
            Lines{"b: not used"});
  EXPECT_EQ(Find(schema, {kById}), (Lines{"a: not used", "b: not used"}));
  EXPECT_EQ(Find(schema, {}), Lines{});
  EXPECT_EQ(Find(schema, {kById}, /*all_seen=*/false), Lines{});
}

TEST(IndexUse, AStatementWhosePlanIsNotKnownMayUseEachIndexOfItsTables) {
  const SchemaOfIndexes schema{.indexes = {Index("a", {"x"})},
                               .objects = {{"v", "v", "CREATE VIEW v AS SELECT * FROM T", false},
                                           {"r", "u",
                                            "CREATE TRIGGER r AFTER DELETE ON u BEGIN "
                                            "DELETE FROM T; END",
                                            true}},
                               .foreign_keys = {{"T", "Parent", {"z"}}}};
  SeenStatement statement = Seen("", "");
  statement.plan_is_known = false;
  const struct {
    const char* text;
    bool writes;
    bool needed;
  } kCases[] = {
      {"SELECT * FROM t", false, true},           {"SELECT * FROM other", false, false},
      {"SELECT * FROM V", false, true},           {"DELETE FROM u", true, true},
      {"SELECT * FROM u", false, false},          {"DELETE FROM parent", true, true},
      {"SELECT * FROM parent", false, false},     {"SELECT * FROM \"T\"", false, true},
      {"SELECT long, texts, are …", false, true},
  };
  for (const auto& test : kCases) {
    statement.text = test.text;
    statement.writes = test.writes;
    EXPECT_EQ(Find(schema, {kById, statement}), test.needed ? Lines{} : Lines{"a: not used"})
        << test.text;
  }
}

TEST(IndexUse, APlanThatMayDependOnValuesLeavesTheIndexesOfItsColumns) {
  const SchemaOfIndexes schema{.indexes = {Index("a", {"x"}), Index("b", {"y"})}};
  SeenStatement literals = Seen("SELECT * FROM t WHERE x > ?", "SCAN T");
  EXPECT_EQ(Find(schema, {literals}), (Lines{"a: not used", "b: not used"}));
  literals.one_text = false;
  EXPECT_EQ(Find(schema, {literals}), Lines{"b: not used"});
  EXPECT_EQ(Find(schema, {Seen("SELECT * FROM t WHERE x LIKE ?", "SCAN T")}), Lines{"b: not used"});
  SchemaOfIndexes sampled = schema;
  sampled.has_samples = true;
  EXPECT_EQ(Find(sampled, {Seen("SELECT * FROM t WHERE y = ?", "SCAN T")}), Lines{"a: not used"});
  SchemaOfIndexes partial = schema;
  partial.indexes[0].where = "state = 'open'";
  EXPECT_EQ(Find(partial, {Seen("SELECT * FROM t WHERE state = ?", "SCAN T")}),
            Lines{"b: not used"});
  const SeenStatement natural{"SELECT * FROM t NATURAL JOIN u", false, "SCAN T", true, false};
  EXPECT_EQ(Find(schema, {natural}), Lines{});
}

TEST(IndexUse, UniqueIndexesThoseOfForeignKeysAndThoseThatAreNamedStay) {
  SchemaOfIndexes schema{.indexes = {Index("a", {"x"}), Index("b", {"y"}), Index("c", {"z"}),
                                     Index("d", {"u"}), Index("e", {"v"})},
                         .foreign_keys = {{"T", "parent", {"Y"}}}};
  schema.indexes[0].unique = true;
  schema.indexes[2].sql = "";
  schema.objects.push_back({"v", "v", "CREATE VIEW v AS SELECT * FROM T INDEXED BY \"D\"", false});
  EXPECT_EQ(Find(schema, {kById, Seen("SELECT * FROM t NOT INDEXED", "SCAN T")}),
            Lines{"e: not used"});
  EXPECT_EQ(Find(schema, {Seen("SELECT * FROM t INDEXED BY e", "")}), Lines{});
}

TEST(IndexUse, APrefixAndADuplicateAreCoveredByAnIndexThatStays) {
  SchemaOfIndexes schema{.indexes = {Index("a", {"x"}), Index("ab", {"x", "y"}),
                                     Index("abc", {"x", "y", "z"}), Index("again", {"x", "y"}),
                                     Index("b", {"y"})}};
  const Lines covered{"a: prefix abc", "ab: prefix abc", "again: prefix abc"};
  EXPECT_EQ(Find(schema, {}), covered);
  // The one that covers them stays, although nothing uses it now.
  const SeenStatement uses_a = Seen("SELECT * FROM t WHERE x = ?", "SEARCH T USING INDEX a (x=?)");
  EXPECT_EQ(Find(schema, {uses_a}), (Lines{"ab: prefix abc", "again: prefix abc", "b: not used"}))
      << "a has the rows of one x in the order of their rowid";
  schema.indexes.erase(schema.indexes.begin() + 2);
  EXPECT_EQ(Find(schema, {}), (Lines{"a: prefix ab", "again: duplicate ab"}));
  schema.indexes[2].unique = true;
  EXPECT_EQ(Find(schema, {}), (Lines{"a: prefix again", "ab: duplicate again"}));
  schema.indexes[2].unique = false;
  schema.objects.push_back({"v", "v", "CREATE VIEW v AS SELECT * FROM T INDEXED BY again", false});
  EXPECT_EQ(Find(schema, {}), (Lines{"a: prefix again", "ab: duplicate again"}));
}

TEST(IndexUse, CollationDirectionConditionAndTableMakeAnotherIndex) {
  SchemaOfIndexes schema{.indexes = {Index("a", {"x"}), Index("b", {"x", "y"})}};
  ASSERT_EQ(Find(schema, {}), Lines{"a: prefix b"});
  SchemaOfIndexes other = schema;
  other.indexes[1].parts[0].collation = "nocase";
  EXPECT_EQ(Find(other, {}), Lines{});
  other = schema;
  other.indexes[0].parts[0].descending = true;
  EXPECT_EQ(Find(other, {}), Lines{});
  other = schema;
  other.indexes[1].where = "y is not null";
  EXPECT_EQ(Find(other, {}), Lines{});
  other.indexes[0].where = "y is not null";
  EXPECT_EQ(Find(other, {}), Lines{"a: prefix b"});
  other = schema;
  other.indexes[1].table = "u";
  EXPECT_EQ(Find(other, {}), Lines{});
}

TEST(IndexUse, ReadsTheColumnsAndTheConditionOfAnIndex) {
  const IndexText text = ReadIndexText(
      "CREATE INDEX IF NOT EXISTS \"a (b\" ON t(Lower( x ) , coalesce(y,'A, B') DESC) "
      "WHERE Z  IS NOT NULL -- so");
  EXPECT_EQ(text.parts, (Lines{"lower ( x )", "coalesce ( y , 'A, B' ) desc"}));
  EXPECT_EQ(text.where, "z is not null");
  EXPECT_EQ(ReadIndexText("CREATE INDEX a ON b(c)").where, "");
  EXPECT_EQ(ReadIndexText("CREATE INDEX \"on\" ON b(c)").parts, Lines{"c"});
  EXPECT_EQ(ReadIndexText("").parts, Lines{});
}

}  // namespace
}  // namespace walmanager
