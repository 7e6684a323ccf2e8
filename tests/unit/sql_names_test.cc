// The names in a text, in all the ways in which SQLite lets them be written.
#include "ext/core/text/sql_names.h"

#include <gtest/gtest.h>

namespace walmanager {
namespace {

using Names = std::set<std::string>;

TEST(SqlNames, WordsAndWhatIsInQuotes) {
  Names names;
  AddNames("SELECT [A b], `c``d`, \"E\"\"f\", 'g''h', x.y /* no */ FROM T -- not\n WHERE ? = 5",
           names);
  EXPECT_EQ(names, (Names{"select", "a b", "c`d", "e\"f", "g'h", "x", "y", "from", "t", "where"}));
}

TEST(SqlNames, AnyBytesWillDo) {
  Names names;
  AddNames("\"never closed", names);
  AddNames("'", names);
  AddNames("\"\"", names);
  AddNames("\xff\xfe", names);
  EXPECT_EQ(names.count("\xff\xfe"), 1u);
}

TEST(SqlNames, TablesThatForeignKeysReferTo) {
  Names names;
  AddReferredNames(
      "CREATE TABLE t(a REFERENCES P, b, FOREIGN KEY (b) REFERENCES \"Q r\"(c), d DEFAULT 'x')",
      names);
  EXPECT_EQ(names, (Names{"p", "q r"}));
}

TEST(SqlNames, AColumnThatLooksLikeAForeignKeyIsNone) {
  EXPECT_TRUE(HasReferences("CREATE TABLE t(a references p)"));
  EXPECT_FALSE(HasReferences(
      "CREATE TABLE t(preferences, \"references\", c DEFAULT 'REFERENCES' /* REFERENCES p */)"));
}

}  // namespace
}  // namespace walmanager
