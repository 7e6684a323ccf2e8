// Any bytes as SQL: normalizing twice is the same as normalizing once, and no string gets out. The
// same bytes also choose statements with a marker in every place where SQLite allows a literal: the
// marker never gets out.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "ext/core/base/ascii_case.h"
#include "ext/core/text/normalize.h"
#include "ext/core/text/sql_tokens.h"

namespace {

using walmanager::AsciiLower;
using walmanager::AsciiUpper;
using walmanager::EqualIgnoringCase;
using walmanager::Normalize;
using walmanager::NormalizedQuery;

constexpr std::size_t kWhole = std::size_t{1} << 30;
constexpr std::string_view kMarker = "zqsecretqz";

void CheckIdempotent(const NormalizedQuery& query) {
  const NormalizedQuery again = Normalize(query.text, kWhole);
  if (again.id != query.id || query.id == 0) std::abort();
  // Where the bytes are no statement, a word may be a keyword the second time.
  if (!EqualIgnoringCase(again.text, query.text)) std::abort();
}

// The text with all letters in the other case is the same statement.
void CheckCase(std::string_view sql, const NormalizedQuery& query) {
  std::string other(sql);
  for (char& c : other) c = c == AsciiLower(c) ? AsciiUpper(c) : AsciiLower(c);
  const NormalizedQuery same = Normalize(other, kWhole);
  if (same.id != query.id || same.kind != query.kind) std::abort();
  if (!EqualIgnoringCase(same.text, query.text)) std::abort();
}

// What is left is names, keywords, operators, "?" and the numbers of ORDER BY and GROUP BY.
void CheckNoLiterals(std::string_view text) {
  walmanager::SqlTokenizer tokenizer(text);
  walmanager::Token token;
  for (tokenizer.Next(token); token.kind != walmanager::TokenKind::kEnd; tokenizer.Next(token)) {
    if (token.kind == walmanager::TokenKind::kLiteral && token.text != "?") std::abort();
    if (token.kind == walmanager::TokenKind::kNumber && token.text.size() > 3) std::abort();
  }
}

void CheckCut(std::string_view sql, const NormalizedQuery& whole, std::size_t max_text) {
  const NormalizedQuery cut = Normalize(sql, max_text);
  if (cut.id != whole.id || cut.kind != whole.kind || cut.text.size() > max_text) std::abort();
  if (whole.text.size() <= max_text && cut.text != whole.text) std::abort();
}

// SQL of SQLite's grammar, chosen by the bytes of the fuzzer. Depth and size end with the bytes.
class Generator {
 public:
  Generator(const std::uint8_t* data, std::size_t size) : data_(data), end_(data + size) {}

  std::string Statement() {
    switch (Choose(14)) {
      case 0:
        return "INSERT INTO t(\"a\", b) VALUES (" + Value(3) + "," + Value(3) + "),(" + Value(2) +
               "," + Value(2) + ") ON CONFLICT(a) DO UPDATE SET \"a\" = " + Value(2) +
               ", b = " + Value(2) + " WHERE " + Value(2) + " RETURNING " + Value(2) + Alias() +
               "," + Value(1);
      case 1:
        return "UPDATE OR REPLACE \"t\" SET \"a\" = " + Value(3) + ", (b, \"c\") = (" + Value(2) +
               "," + Value(2) + ") FROM u, \"v\" WHERE " + Value(3);
      case 2:
        return "DELETE FROM t INDEXED BY \"i\" WHERE " + Value(3) + " RETURNING " + Value(2);
      case 3:
        return "CREATE TABLE \"n\"(\"a\" int DEFAULT " + Default() + " CHECK (" + Value(2) +
               ") REFERENCES p(\"q\") ON DELETE SET NULL, b " + Type() + " DEFAULT (" + Value(2) +
               ") NULL COLLATE \"c\", CHECK (" + Value(2) + "), g AS (" + Value(2) + ") STORED)";
      case 4:
        return "CREATE INDEX i ON \"t\"(" + Value(2) + ", " + Value(1) + " DESC) WHERE " + Value(2);
      case 5:
        return "CREATE TRIGGER r AFTER UPDATE OF \"a\", b ON \"t\" WHEN " + Value(2) +
               " BEGIN UPDATE t SET \"a\" = " + Value(2) + "; SELECT RAISE(ABORT, " + Default() +
               "); INSERT INTO t SELECT " + Value(2) + "; DELETE FROM t WHERE " + Value(2) +
               "; END; SELECT '" + std::string(kMarker) + "'";
      case 6:
        return "PRAGMA " + Pick({"main.x", "x", "key"}) + Pick({"=", "("}) + Word() + ")";
      case 7:
        return "ATTACH " + Pick({"", "DATABASE "}) + Word() + " AS " + Word() + " KEY " + Word();
      case 8:
        return Pick({"SAVEPOINT ", "RELEASE ", "ROLLBACK TO ", "DETACH ", "VACUUM INTO "}) + Word();
      case 9:
        return "CREATE VIRTUAL TABLE v USING \"fts5\"(a, " + Word() + ", x = (" + Word() + "))";
      case 10:
        return "ALTER TABLE t ADD COLUMN \"c\" DEFAULT " + Default() + " CHECK (" + Value(2) + ")";
      case 11:
        return "EXPLAIN QUERY PLAN " + Select(3);
      default:
        return Select(4);
    }
  }

 private:
  unsigned Choose(unsigned choices) { return data_ == end_ ? 0 : *data_++ % choices; }
  std::string Pick(std::initializer_list<const char*> choices) {
    return choices.begin()[Choose(static_cast<unsigned>(choices.size()))];
  }
  std::string Type() { return Pick({"", "text", "\"my type\"", "decimal(10, -2)"}); }
  std::string Space() { return Pick({" ", "\n", "/*zqsecretqz*/", "--zqsecretqz\n", "\f"}); }
  std::string Alias() {
    return Pick({"", " AS x", " x", " AS \"x\"", " \"x\"", " key", " window"});
  }

  // A literal that holds the marker, in any form.
  std::string Marked() {
    const std::string marker(kMarker);
    switch (Choose(9)) {
      case 0:
        return "'" + marker + "'";
      case 1:
        return "'it''s " + marker + "'";
      case 2:
        return "\"a \"\" " + marker + "\"";
      case 3:
        return "x'" + marker + "'";
      case 4:
        return "12" + marker;
      case 5:
        return ":" + marker;
      case 6:
        return "$" + marker + "::a(" + marker + ")";
      default:
        return "\"" + marker + "\"";
    }
  }
  // Where a name of any kind is a string.
  std::string Word() {
    const std::string marker(kMarker);
    switch (Choose(4)) {
      case 0:
        return marker;
      case 1:
        return "[" + marker + "]";
      case 2:
        return "`" + marker + "`";
      default:
        return Marked();
    }
  }
  std::string Default() { return Choose(2) == 0 ? Word() : Pick({"-1", "NULL", "TRUE", "+.5"}); }
  std::string Column() {
    return Pick({"a",        "t.\"b\"", "[c d]", "key",       "with", "window", "replace",
                 "offset",   "by",      "rows",  "like",      "over", "end",    "filter",
                 "conflict", "range",   "match", "NEW.\"x\"", "row",  "left",   "if"});
  }

  std::string Value(int depth) {
    if (depth <= 0 || data_ == end_) return Choose(4) == 0 ? Column() : Marked();
    const auto value = [this, depth] { return Space() + Value(depth - 1); };
    switch (Choose(20)) {
      case 0:
        return value() +
               Pick({"+", " - ", "*", "/", "||", "=", "==", "<>", "<", ">>", "&", "->", "->>",
                     "%"}) +
               value();
      case 1:
        return value() +
               Pick({" AND", " OR", " IS", " IS NOT", " LIKE", " NOT LIKE", " MATCH", " NOT GLOB",
                     " IS DISTINCT FROM", " IS NOT DISTINCT FROM", " REGEXP"}) +
               " " + value();
      case 2:
        return Pick({"-", "+", "~", "NOT "}) + value();
      case 3:
        return "(" + value() + ")";
      case 4:
        return Pick({"f", "replace", "\"max\"", "like", "left", "if"}) + "(" + value() + "," +
               value() + ")";
      case 5:
        return "CASE" + value() + " WHEN" + value() + " THEN" + value() + " ELSE" + value() +
               " END";
      case 6:
        return value() + Pick({" IN(", " NOT IN("}) + value() + "," + value() + "," + value() + ")";
      case 7:
        return value() + " IN(" + Select(depth - 1) + ")";
      case 8:
        return "EXISTS(" + Select(depth - 1) + ")";
      case 9:
        return value() + " BETWEEN" + value() + " AND" + value();
      case 10:
        return value() + Pick({" ISNULL", " NOTNULL", " NOT NULL", " COLLATE \"c\""});
      case 11:
        return "CAST(" + value() + " AS \"x\")";
      case 12:
        return value() + " LIKE" + value() + " ESCAPE" + value();
      case 13:
        return "sum(DISTINCT" + value() + ") FILTER (WHERE" + value() + ") OVER (PARTITION BY" +
               value() + " ORDER BY" + value() + " DESC ROWS BETWEEN" + value() + " PRECEDING AND" +
               value() + " FOLLOWING)";
      case 14:
        return "(" + value() + "," + value() + ") IN (VALUES (" + value() + "),(" + value() + "))";
      default:
        return Choose(3) == 0 ? Column() : Marked();
    }
  }

  std::string Source(int depth) {
    switch (depth <= 0 ? 0 : Choose(5)) {
      case 1:
        return "f(" + Value(depth - 1) + ")" + Alias();
      case 2:
        return "(" + Select(depth - 1) + ") AS \"s\"";
      case 3:
        return "(t JOIN \"u\" ON " + Value(depth - 1) + ", v)";
      case 4:
        return "(VALUES (" + Value(depth - 1) + "),(" + Value(depth - 1) + "))";
      default:
        return Pick({"t", "\"t\" \"x\"", "main.\"t\" AS x", "t window", "t key"});
    }
  }

  std::string Select(int depth) {
    std::string sql;
    if (Choose(4) == 0)
      sql += "WITH \"c\"(x) AS MATERIALIZED (SELECT " + Value(depth - 1) + "), d AS (SELECT 1) ";
    sql += "SELECT " + Pick({"", "DISTINCT ", "ALL "}) + Value(depth) + Alias() + "," +
           Value(depth - 1) + Alias();
    if (Choose(4) != 0) {
      sql += " FROM " + Source(depth);
      if (Choose(2) == 0) {
        sql += Pick({", ", " JOIN ", " NATURAL LEFT JOIN "}) + Source(depth) + " ON " +
               Value(depth - 1) + ", \"w\"";
      }
    }
    if (Choose(2) == 0) sql += " WHERE " + Value(depth);
    if (Choose(3) == 0) sql += " GROUP BY 1," + Value(depth - 1) + " HAVING " + Value(depth - 1);
    if (Choose(4) == 0) {
      sql += " WINDOW \"w\" AS (PARTITION BY " + Value(depth - 1) + "), x AS (ORDER BY " +
             Value(0) + ")";
    }
    if (Choose(4) == 0) sql += " UNION ALL SELECT " + Value(depth - 1) + "," + Value(0);
    if (Choose(3) == 0) sql += " ORDER BY " + Value(depth - 1) + " DESC, 2," + Value(0);
    if (Choose(3) == 0) sql += " LIMIT " + Value(0) + Pick({" OFFSET ", ", "}) + Value(0);
    return sql;
  }

  const std::uint8_t* data_;
  const std::uint8_t* end_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view sql(reinterpret_cast<const char*>(data), size);
  const NormalizedQuery query = Normalize(sql, kWhole);
  CheckIdempotent(query);
  CheckCase(sql, query);
  CheckNoLiterals(query.text);
  CheckCut(sql, query, size == 0 ? 0 : data[0]);

  const std::string statement = Generator(data, size).Statement();
  const NormalizedQuery marked = Normalize(statement, kWhole);
  CheckIdempotent(marked);
  CheckCase(statement, marked);
  CheckNoLiterals(marked.text);
  if (marked.text.find(kMarker) != std::string::npos) std::abort();
  return 0;
}
