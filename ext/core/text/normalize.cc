#include "ext/core/text/normalize.h"

// The hash is compiled into this file, so that nothing is linked and all builds have the same.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <utility>

#include "ext/core/text/normalized_text.h"
#include "ext/core/text/sql_clauses.h"
#include "ext/core/text/sql_tokens.h"

namespace walmanager {
namespace {

static_assert(XXH_VERSION_NUMBER >= 800, "XXH3's values are fixed since 0.8.0");

// Statements of which only the form is kept. Each is called behind its first word, and ignores what
// it does not write.

void Transaction(TokenStream& tokens, Keyword first, NormalizedText& text) {
  const Keyword second = tokens.next().keyword;
  switch (first) {
    case Keyword::kBegin:
      text.Keyword("BEGIN");
      if (second == Keyword::kImmediate) text.Keyword("IMMEDIATE");
      if (second == Keyword::kExclusive) text.Keyword("EXCLUSIVE");
      return;
    case Keyword::kRollback:
      text.Keyword("ROLLBACK");
      while (!tokens.AtEnd()) {
        if (tokens.Take().keyword == Keyword::kTo) {
          text.Keyword("TO");
          return text.Literal();
        }
      }
      return;
    // Drivers make up a new name each time.
    case Keyword::kSavepoint:
      text.Keyword("SAVEPOINT");
      return text.Literal();
    case Keyword::kRelease:
      text.Keyword("RELEASE");
      return text.Literal();
    default:
      text.Keyword("COMMIT");
  }
}

bool IsName(const Token& token) {
  return token.kind == TokenKind::kWord || token.kind == TokenKind::kQuoted ||
         IsClosedString(token);
}

// A name of no more than two parts. For the id, PRAGMA key has its name in lower case, too.
void QualifiedName(TokenStream& tokens, NormalizedText& text) {
  for (bool first = true; !tokens.AtEnd(); first = false) {
    const Token token = tokens.Take();
    if (token.kind == TokenKind::kWord) {
      text.Identifier(token.text);
    } else if (IsName(token)) {
      WriteName(token, '"', text);
    } else {
      text.Literal();
    }
    if (!first || tokens.next().kind != TokenKind::kDot) return;
    tokens.Take();
    text.Dot();
  }
}

// PRAGMA name(value) and PRAGMA name = value are the same, and the value may be a word.
void Pragma(TokenStream& tokens, NormalizedText& text) {
  text.Keyword("PRAGMA");
  QualifiedName(tokens, text);
  if (tokens.AtEnd()) return;
  text.BinaryOperator("=");
  text.Literal();
}

// ATTACH file AS schema KEY password: expressions, in which a word is a string.
void Attach(TokenStream& tokens, NormalizedText& text) {
  text.Keyword("ATTACH");
  text.Literal();
  std::size_t depth = 0, since_as = 0;
  bool as = false, key = false;
  while (!tokens.AtEnd()) {
    const Token token = tokens.Take();
    if (token.kind == TokenKind::kOpen) ++depth;
    if (token.kind == TokenKind::kClose && depth != 0) --depth;
    if (depth == 0 && !as && token.keyword == Keyword::kAs) {
      as = true;
      text.Keyword("AS");
      text.Literal();
    } else if (as) {
      if (depth == 0 && !key && since_as != 0 && token.keyword == Keyword::kKey) {
        key = true;
        text.Keyword("KEY");
        text.Literal();
      }
      ++since_as;
    }
  }
}

void Vacuum(TokenStream& tokens, NormalizedText& text) {
  text.Keyword("VACUUM");
  if (tokens.AtEnd()) return;
  const Token name = tokens.Take();
  for (Token token = name; token.keyword != Keyword::kInto; token = tokens.Take()) {
    if (!tokens.AtEnd()) continue;
    if (IsName(name)) return WriteName(name, '"', text);
    return text.Literal();
  }
  text.Keyword("INTO");
  text.Literal();
}

QueryKind KindOfVerb(Keyword verb) {
  switch (verb) {
    case Keyword::kSelect:
    case Keyword::kValues:
      return QueryKind::kRead;
    case Keyword::kInsert:
    case Keyword::kReplace:
    case Keyword::kUpdate:
    case Keyword::kDelete:
      return QueryKind::kWrite;
    default:
      return QueryKind::kOther;
  }
}

QueryKind Statement(TokenStream& tokens, NormalizedText& text) {
  const Keyword first = tokens.next().keyword;
  switch (first) {
    case Keyword::kBegin:
    case Keyword::kCommit:
    case Keyword::kEnd:
    case Keyword::kRollback:
    case Keyword::kSavepoint:
    case Keyword::kRelease:
      tokens.Take();
      Transaction(tokens, first, text);
      return QueryKind::kTransaction;
    case Keyword::kPragma:
      tokens.Take();
      Pragma(tokens, text);
      return QueryKind::kOther;
    case Keyword::kAttach:
      tokens.Take();
      Attach(tokens, text);
      return QueryKind::kOther;
    case Keyword::kDetach:
      text.Keyword("DETACH");
      text.Literal();
      return QueryKind::kOther;
    case Keyword::kVacuum:
      tokens.Take();
      Vacuum(tokens, text);
      return QueryKind::kOther;
    default:
      break;
  }
  SqlClauses clauses(tokens, text);
  clauses.Run();
  switch (first) {
    case Keyword::kCreate:
    case Keyword::kDrop:
    case Keyword::kAlter:
      return QueryKind::kSchema;
    case Keyword::kWith:
      return KindOfVerb(clauses.verb());
    default:
      return KindOfVerb(first);
  }
}

void Cut(std::string& text, std::size_t max_text) {
  constexpr std::string_view kCutMark = "…";
  constexpr std::size_t kMostContinuations = 3;  // more are no UTF-8, and need not be kept together
  if (text.size() <= max_text) return;
  std::size_t size = max_text < kCutMark.size() ? 0 : max_text - kCutMark.size();
  for (std::size_t i = 0; i < kMostContinuations && size != 0; ++i) {
    if ((static_cast<unsigned char>(text[size]) & 0xc0) != 0x80) break;
    --size;
  }
  text.resize(size);
  if (max_text >= kCutMark.size()) text += kCutMark;
}

}  // namespace

const char* QueryKindName(QueryKind kind) {
  switch (kind) {
    case QueryKind::kRead:
      return "read";
    case QueryKind::kWrite:
      return "write";
    case QueryKind::kTransaction:
      return "transaction";
    case QueryKind::kSchema:
      return "schema";
    case QueryKind::kOther:
      break;
  }
  return "other";
}

NormalizedQuery Normalize(std::string_view sql, std::size_t max_text) {
  constexpr std::size_t kUsual = 1024;  // long texts are mostly rows, of which little remains
  TokenStream tokens(sql);
  NormalizedText text(std::min(sql.size() + sql.size() / 4, kUsual));
  while (tokens.next().kind == TokenKind::kSemicolon) tokens.Take();
  const bool explains = tokens.next().keyword == Keyword::kExplain;
  if (explains) {
    text.Keyword(tokens.Take().text);
    if (tokens.next().keyword == Keyword::kQuery) {
      text.Keyword(tokens.Take().text);
      if (tokens.next().keyword == Keyword::kPlan) text.Keyword(tokens.Take().text);
    }
  }
  const QueryKind kind = Statement(tokens, text);
  NormalizedText::Texts texts = text.Take();
  NormalizedQuery query{0, explains ? QueryKind::kOther : kind, std::move(texts.shown)};
  query.id = XXH3_64bits(texts.of_id.data(), texts.of_id.size());
  if (query.id == 0) query.id = 1;
  Cut(query.text, max_text);
  return query;
}

}  // namespace walmanager
