// A statement's fingerprint: its text without what changes from call to call, so that executions of
// the same statement share a row in query_performance, and no data of the host's is shown there.
//
// The rule that must not break: no literal gets out. SQLite may take a name in double quotes for a
// string wherever a value may stand, so there it becomes "?", too. It stays only where the grammar
// allows nothing but a name. In doubt: "?".
//
// Comments go, spacing is fixed, keywords are in upper case and names as they were typed; literals
// and parameters are "?"; IN lists of those are "(...)", rows of VALUES like the first ", ...".
// Normalizing a text that was not cut gives the same text and id again; of bytes that are no
// statement, the same but for the case of words. The id does not depend on the case of letters:
// texts of the same id differ in nothing but the case of names. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace walmanager {

enum class QueryKind : std::uint8_t { kRead, kWrite, kTransaction, kSchema, kOther };

// 'read', 'write', 'transaction', 'schema', 'other'.
const char* QueryKindName(QueryKind kind);

struct NormalizedQuery {
  // XXH3 (64 bits, no seed) of the whole normalized text, with keywords in upper case and other
  // words in lower case; never 0.
  std::uint64_t id;
  QueryKind kind;
  std::string text;
};

// Of the first statement in `sql`; the text after its semicolon is ignored. Any bytes will do.
// A text of more than `max_text` bytes is cut at a whole UTF-8 character and ends in "…", which is
// within `max_text`; the id is of the whole all the same.
NormalizedQuery Normalize(std::string_view sql, std::size_t max_text);

}  // namespace walmanager
