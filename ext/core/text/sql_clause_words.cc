// SqlClauses: what words, keywords and names, say about the place where they stand.
#include <string>
#include <utility>

#include "ext/core/text/sql_clauses.h"

namespace walmanager {
namespace {

std::string Unquoted(std::string_view quoted) {
  const char close = quoted.back();
  std::string content(quoted.substr(1, quoted.size() - 2));
  if (close == ']') return content;
  std::size_t length = 0;
  for (std::size_t i = 0; i < content.size(); ++i) {
    content[length++] = content[i];
    if (content[i] == close) ++i;
  }
  content.resize(length);
  return content;
}

// Whether the name means the same without quotes.
bool IsPlain(std::string_view content) {
  Token token;
  SqlTokenizer(content).Next(token);
  return token.kind == TokenKind::kWord && token.text.size() == content.size() &&
         token.keyword == Keyword::kNone;
}

}  // namespace

void WriteName(const Token& token, char quote, NormalizedText& text) {
  if (token.kind == TokenKind::kWord) {
    if (token.keyword == Keyword::kNone) return text.Identifier(token.text);
    return text.KeywordName(token.text);
  }
  const std::string content = Unquoted(token.text);
  if (IsPlain(content)) return text.Identifier(content);
  text.QuotedIdentifier(content, quote);
}

void SqlClauses::Word(const Token& token) {
  const Keyword keyword = token.keyword;
  if (verb_ == Keyword::kNone && outermost()) {
    switch (keyword) {
      case Keyword::kReplace:
        if (tokens_.next().keyword != Keyword::kInto) break;
        [[fallthrough]];
      case Keyword::kSelect:
      case Keyword::kValues:
      case Keyword::kInsert:
      case Keyword::kUpdate:
      case Keyword::kDelete:
        verb_ = keyword;
        break;
      default:
        break;
    }
  }
  if (before_.kind == TokenKind::kDot) return Name(token);
  if (IsReserved(keyword)) return Reserved(token);
  if (keyword == Keyword::kCurrentTime && expect_ == Expect::kLiteral) expect_ = Expect::kValue;
  if (NameIsString()) return Literal();
  if (keyword == Keyword::kNone || NextIs(TokenKind::kDot)) return Name(token);
  Unreserved(token);
}

// DEFAULT word, RAISE(ABORT, word).
bool SqlClauses::NameIsString() const {
  return expect_ == Expect::kLiteral &&
         (frames_.back().clause != Clause::kRaise || NextIs(TokenKind::kClose));
}

void SqlClauses::Name(const Token& token) {
  WriteName(token, '"', text_);
  expect_ = Expect::kOperator;
  after_name_ = true;
}

void SqlClauses::Quoted(const Token& token) {
  const bool is_name = expect_ == Expect::kName ||
                       (expect_ == Expect::kOperator && !Is(Keyword::kNot)) ||
                       NextIs(TokenKind::kDot) || NextIs(TokenKind::kOpen);
  if (NameIsString() || (token.text[0] == '"' && !is_name)) return Literal();
  // Backticks are never a string's, so that the name is a name when this text is normalized again.
  WriteName(token, is_name ? '"' : '`', text_);
  expect_ = Expect::kOperator;
  after_name_ = true;
}

bool SqlClauses::NextMayBeName() const {
  return NextIs(TokenKind::kQuoted) ||
         (NextIs(TokenKind::kWord) && !IsReserved(tokens_.next().keyword));
}

// WITH is also a name: `SELECT with, "a string"`, `f(with LIKE "a string")`.
bool SqlClauses::BeginsWithClause() const {
  if (!NextMayBeName()) return false;
  if (before_.kind == TokenKind::kEnd || before_.kind == TokenKind::kSemicolon) return true;
  switch (tokens_.next().keyword) {
    case Keyword::kAscDesc:
    case Keyword::kFrameUnit:
    case Keyword::kLike:
    case Keyword::kNulls:
      return false;
    default:
      break;
  }
  const Frame& in = frames_.back();
  return in.clause == Clause::kInsert || (Is(Keyword::kAs) && first_ == Keyword::kCreate) ||
         (before_.kind == TokenKind::kOpen && !in.is_row && !in.is_call);
}

// At the first word of OVER (...) or WINDOW name AS (...).
bool SqlClauses::BeginsWindow() const {
  if (before_.kind != TokenKind::kOpen || outermost()) return false;
  const Frame& outer = frames_[frames_.size() - 2];
  return before_that_.keyword == Keyword::kOver ||
         (before_that_.keyword == Keyword::kAs && outer.clause == Clause::kWindows);
}

// `count(*) rows, ...` and `count(*) rows FROM ...`: what comes next begins anew, so that nothing
// but the letters shown depends on this.
bool SqlClauses::IsAliasInResult(const Token& token) const {
  switch (token.keyword) {
    case Keyword::kAscDesc:
    case Keyword::kCurrentTime:
    case Keyword::kEnd:
      return false;
    default:
      break;
  }
  return expect_ == Expect::kOperator && frame().clause == Clause::kValues &&
         (NextIs(TokenKind::kComma) || tokens_.next().keyword == Keyword::kFrom);
}

// Whether a word that is treated like a name is a keyword all the same, as those around it say.
// Only the letters shown depend on this.
bool SqlClauses::IsInPhrase(const Token& token) const {
  const Keyword next = tokens_.next().keyword;
  if (before_.wrote_keyword) return true;  // LEFT OUTER, NULLS LAST, FOR EACH, NO ACTION
  if (frame().clause == Clause::kColumns) {
    if (expect_ == Expect::kValue || Is(Keyword::kUpdate)) return true;  // ON UPDATE CASCADE
  }
  switch (token.keyword) {
    case Keyword::kConflict:
      return Is(Keyword::kOn) && !IsReserved(next) && next != Keyword::kNone &&
             next != Keyword::kLike;
    case Keyword::kConflictAction:
    case Keyword::kRollback:
      return (Is(Keyword::kOr) && before_that_.keyword == Keyword::kInsert) ||
             (before_.kind == TokenKind::kOpen && before_that_.keyword == Keyword::kRaise);
    case Keyword::kReplace:
      return next == Keyword::kInto;
    case Keyword::kPartition:
      return next == Keyword::kBy;
    case Keyword::kRaise:
      return NextIs(TokenKind::kOpen);
    case Keyword::kAnyName:
      if (EqualIgnoringCase(token.text, "CAST")) return NextIs(TokenKind::kOpen);
      if (EqualIgnoringCase(token.text, "UNBOUNDED")) return next == Keyword::kAnyName;
      if (EqualIgnoringCase(token.text, "CURRENT")) return next == Keyword::kAnyName;
      return Is(Keyword::kCreate);  // CREATE TEMP TABLE
    default:
      return false;
  }
}

// A name that is taken for a keyword is as bad as the reverse: the keyword behind it would then be
// taken for the name, and what follows that for an alias.
void SqlClauses::Unreserved(const Token& token) {
  if (IsAliasInResult(token)) return Name(token);
  if (UnreservedKeyword(token)) return;
  if (expect_ != Expect::kOperator) {
    wrote_keyword_ = IsInPhrase(token);
    if (!wrote_keyword_) return Name(token);
    text_.Keyword(token.text);
    expect_ = Expect::kOperator;
    after_name_ = true;
    return;
  }
  wrote_keyword_ = true;
  text_.Keyword(token.text);  // or an alias, behind which no value stands
  expect_ = Expect::kValue;
  target_ = Target::kNone;
  after_name_ = false;
}

// False where the word is a name, or one of the keywords that change nothing here.
bool SqlClauses::UnreservedKeyword(const Token& token) {
  const bool after_parentheses =
      before_.kind == TokenKind::kClose || before_.kind == TokenKind::kEllipsis;
  Expect expect = Expect::kValue;
  Target target = Target::kNone;
  switch (token.keyword) {
    case Keyword::kWith:
      if (!BeginsWithClause()) return false;
      frame().clause = Clause::kTables;
      target = Target::kNames;
      expect = Expect::kName;
      break;
    case Keyword::kRecursive:
      if (!Is(Keyword::kWith) || frame().clause != Clause::kTables) return false;
      target = Target::kNames;
      expect = Expect::kName;
      break;
    case Keyword::kMaterialized:
      if (frame().clause != Clause::kTables || !(Is(Keyword::kAs) || Is(Keyword::kNot))) {
        return false;
      }
      break;
    case Keyword::kBy:
      if (Is(Keyword::kOrder) || Is(Keyword::kGroup)) {
        frame().clause = Clause::kTerms;
        expect = Expect::kTerm;
      } else if (Is(Keyword::kPartition)) {
        frame().clause = Clause::kValues;
      } else if (Is(Keyword::kIndexed)) {
        expect = Expect::kName;
      } else {
        return false;
      }
      break;
    case Keyword::kOver:
      if (!after_parentheses || !(NextIs(TokenKind::kOpen) || NextMayBeName())) return false;
      expect = Expect::kName;
      break;
    case Keyword::kFilter:
      if (!after_parentheses || !NextIs(TokenKind::kOpen)) return false;
      break;
    case Keyword::kWindow:
      if (expect_ != Expect::kOperator || !NextMayBeName()) return false;
      frame().clause = Clause::kWindows;
      expect = Expect::kName;
      break;
    case Keyword::kFrameUnit:
      if (expect_ != Expect::kOperator && !BeginsWindow()) return false;
      break;
    case Keyword::kLike:
      if (expect_ != Expect::kOperator) return false;  // the function, or a column
      break;
    case Keyword::kAscDesc:
      if (expect_ != Expect::kOperator) return false;
      expect = Expect::kOperator;
      break;
    case Keyword::kCurrentTime:
      if (expect_ == Expect::kName) return false;
      expect = Expect::kOperator;
      break;
    case Keyword::kEnd:
      if (expect_ == Expect::kName) return false;
      expect = Expect::kOperator;
      break;
    case Keyword::kConflict:
      // Of a join it is a column: `ON conflict LIKE "a string"`.
      if (!Is(Keyword::kOn) || !NextIs(TokenKind::kOpen)) return false;
      if (frame().clause != Clause::kColumns) frame().clause = Clause::kValues;
      break;
    case Keyword::kConflictAction:
    case Keyword::kReplace:
    case Keyword::kRollback:
      if (!Is(Keyword::kOr) || expect_ != Expect::kName) return false;
      expect = Expect::kName;  // UPDATE OR FAIL name
      break;
    case Keyword::kKey:
      if (!Is(Keyword::kPrimary) && !Is(Keyword::kForeign)) return false;
      break;
    case Keyword::kAnalyze:
    case Keyword::kReindex:
      if (before_.kind != TokenKind::kEnd) return false;
      expect = Expect::kName;
      break;
    case Keyword::kIf:
      if (!Is(Keyword::kTable) && !Is(Keyword::kIndex) && !Is(Keyword::kView) &&
          !Is(Keyword::kTrigger)) {
        return false;
      }
      target = target_;
      expect = Expect::kName;
      break;
    case Keyword::kColumn:
      if (first_ != Keyword::kAlter || expect_ != Expect::kName) return false;
      expect = Expect::kName;
      break;
    case Keyword::kRename:
      if (first_ != Keyword::kAlter || !outermost()) return false;
      expect = Expect::kName;
      break;
    case Keyword::kTrigger:
    case Keyword::kView:
    case Keyword::kVirtual:
      if (header_ != Header::kObject) return false;
      text_.Keyword(token.text);
      SchemaKeyword(token.keyword);
      return true;
    case Keyword::kOf:
      if (header_ != Header::kTrigger || !Is(Keyword::kUpdate)) return false;
      frame().clause = Clause::kNames;
      expect = Expect::kName;
      break;
    case Keyword::kBegin:
      if (header_ != Header::kTriggerTable || !outermost() || expect_ == Expect::kName) {
        return false;
      }
      text_.Keyword(token.text);
      header_ = Header::kBody;
      StartStatement();
      return true;
    default:
      return false;
  }
  text_.Keyword(token.text);
  expect_ = expect;
  target_ = target;
  after_name_ = false;
  return true;
}

void SqlClauses::Reserved(const Token& token) {
  const Keyword keyword = token.keyword;
  if (keyword == Keyword::kNull || keyword == Keyword::kBoolean) return Constant(token);
  text_.Keyword(token.text);
  after_name_ = false;
  const Expect expected = std::exchange(expect_, Expect::kValue);
  const bool in_columns = frame().clause == Clause::kColumns;
  switch (keyword) {  // these leave the target of IF NOT EXISTS alone
    case Keyword::kNot:
      if (expected == Expect::kOperator) expect_ = Expect::kOperator;  // NOT LIKE
      return;
    case Keyword::kExists:
    case Keyword::kAs:
      expect_ = Expect::kName;
      return;
    default:
      target_ = Target::kNone;
  }
  switch (keyword) {
    case Keyword::kSelect:
    case Keyword::kSetOperator:
    case Keyword::kWhere:
    case Keyword::kHaving:
    case Keyword::kLimit:
    case Keyword::kReturning:
      return Enter(Clause::kValues, Expect::kValue);
    case Keyword::kFrom:
      if (Is(Keyword::kDistinct)) return;  // IS DISTINCT FROM value
      return Enter(Clause::kSources, Expect::kName);
    case Keyword::kJoin:
      return Enter(Clause::kSources, Expect::kName);
    case Keyword::kInto:
      target_ = Target::kNames;
      return Enter(Clause::kInsert, Expect::kName);
    case Keyword::kUpdate:
      return Enter(in_columns ? Clause::kColumns : Clause::kValues, Expect::kName);
    case Keyword::kSet:
      if (in_columns) return;  // ON DELETE SET NULL
      return Enter(Clause::kAssignments, Expect::kName);
    case Keyword::kValues:
      return Is(Keyword::kDefault) ? Enter(Clause::kValues, Expect::kValue) : Rows();
    case Keyword::kOr:
      if (Is(Keyword::kUpdate)) expect_ = Expect::kName;
      return;
    case Keyword::kNullTest:
      if (expected == Expect::kOperator) expect_ = Expect::kOperator;
      return;
    case Keyword::kDefault:
      expect_ = Expect::kLiteral;
      return;
    case Keyword::kCollate:
    case Keyword::kConstraint:
    case Keyword::kIn:
      expect_ = Expect::kName;
      return;
    case Keyword::kReferences:
      target_ = Target::kNames;
      expect_ = Expect::kName;
      return;
    case Keyword::kUsing:
      if (header_ == Header::kVirtual) expect_ = Expect::kName;
      return;
    default:
      SchemaKeyword(keyword);
  }
}

void SqlClauses::Rows() {
  if (frame().has_rows) {
    rows_.back() = {};
  } else {
    rows_.emplace_back();
    frame().has_rows = true;
  }
  Enter(Clause::kRows, Expect::kValue);
}

void SqlClauses::SchemaKeyword(Keyword keyword) {
  switch (keyword) {
    case Keyword::kAlter:
    case Keyword::kCreate:
    case Keyword::kDrop:
      if (before_.kind == TokenKind::kEnd) {
        header_ = Header::kObject;
        if (keyword == Keyword::kAlter) frame().clause = Clause::kColumns;
        return;
      }
      [[fallthrough]];
    case Keyword::kAdd:
    case Keyword::kTo:
      if (first_ == Keyword::kAlter && outermost()) expect_ = Expect::kName;
      return;
    case Keyword::kTable:
      if (header_ == Header::kObject) {
        header_ = Header::kTable;
        if (first_ == Keyword::kCreate) target_ = Target::kColumns;
      }
      expect_ = Expect::kName;
      return;
    case Keyword::kVirtual:
      header_ = Header::kVirtual;
      return;
    case Keyword::kIndex:
      if (header_ == Header::kObject) header_ = Header::kIndex;
      expect_ = Expect::kName;
      return;
    case Keyword::kView:
      header_ = Header::kTable;
      target_ = Target::kNames;
      expect_ = Expect::kName;
      return;
    case Keyword::kTrigger:
      header_ = Header::kTrigger;
      expect_ = Expect::kName;
      return;
    case Keyword::kOn:
      if (header_ == Header::kIndex) {
        header_ = Header::kTable;
        target_ = Target::kTerms;
        expect_ = Expect::kName;
      } else if (header_ == Header::kTrigger) {
        header_ = Header::kTriggerTable;
        Enter(Clause::kValues, Expect::kName);
      }
      return;
    default:
      return;
  }
}

// NULL, TRUE, FALSE.
void SqlClauses::Constant(const Token& token) {
  const bool is_null = token.keyword == Keyword::kNull;
  const bool is_constraint =
      is_null && frame().clause == Clause::kColumns && expect_ != Expect::kLiteral;
  if (!is_null && expect_ == Expect::kName) return Name(token);
  if (expect_ != Expect::kOperator && !Is(Keyword::kIs) && !Is(Keyword::kNot) &&
      !Is(Keyword::kSet) && !is_constraint) {
    return Literal();
  }
  text_.Keyword(token.text);
  expect_ = Expect::kOperator;
  after_name_ = false;
}

}  // namespace walmanager
