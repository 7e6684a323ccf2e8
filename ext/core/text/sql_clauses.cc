#include "ext/core/text/sql_clauses.h"

#include <cstddef>
#include <utility>

namespace walmanager {

void TokenStream::SkipParentheses() {
  for (std::size_t depth = 1; depth != 0 && !AtEnd();) {
    const TokenKind kind = Take().kind;
    if (kind == TokenKind::kOpen) ++depth;
    if (kind == TokenKind::kClose) --depth;
  }
}

void SqlClauses::Run() {
  StartStatement();
  first_ = tokens_.next().keyword;
  while (!NextIs(TokenKind::kEnd)) {
    const Token& token = tokens_.Take();
    Passed passed{token.kind, token.keyword};
    wrote_keyword_ = false;
    if (token.kind == TokenKind::kSemicolon) {
      if (header_ != Header::kBody) return;
      text_.Semicolon();
      StartStatement();
    } else {
      const bool starts = std::exchange(statement_start_, false);
      Step(token);
      if (starts && header_ == Header::kBody && passed.keyword == Keyword::kEnd) return;
    }
    passed.wrote_keyword = wrote_keyword_;
    before_that_ = std::exchange(before_, passed);
  }
}

void SqlClauses::StartStatement() {
  frames_.assign(1, Frame{});
  rows_.clear();
  expect_ = Expect::kValue;
  target_ = Target::kNone;
  after_name_ = false;
  statement_start_ = true;
}

void SqlClauses::Step(const Token& token) {
  switch (token.kind) {
    case TokenKind::kWord:
      return Word(token);
    case TokenKind::kQuoted:
      return Quoted(token);
    case TokenKind::kNumber:
      return Number(token);
    case TokenKind::kLiteral:
      return Literal(token);
    case TokenKind::kOperator:
      return Operator(token);
    case TokenKind::kOpen:
      return Open();
    case TokenKind::kClose:
      return Close();
    case TokenKind::kComma:
      return Comma();
    case TokenKind::kDot:
      return Dot();
    case TokenKind::kEllipsis:
      return Ellipsis();
    case TokenKind::kSemicolon:
    case TokenKind::kEnd:
      return;
  }
}

void SqlClauses::Enter(Clause clause, Expect expect) {
  frame().clause = clause;
  expect_ = expect;
}

void SqlClauses::Push(Frame frame, Expect expect) {
  frames_.push_back(frame);
  expect_ = expect;
  target_ = Target::kNone;
  after_name_ = false;
}

void SqlClauses::Operator(const Token& token) {
  after_name_ = false;
  const char c = token.text[0];
  const bool sign = token.text.size() == 1 && (c == '-' || c == '+' || c == '~');
  if (c == '*' && expect_ != Expect::kOperator && StarIsOperand()) {
    text_.Verbatim(token.text);
    expect_ = Expect::kOperator;
  } else if (expect_ == Expect::kOperator || !sign) {
    text_.BinaryOperator(token.text);
    expect_ = Expect::kValue;
  } else {
    // The sign of a number is part of it.
    if (c == '~' || !NextIs(TokenKind::kNumber)) text_.Sign(token.text);
    if (expect_ != Expect::kLiteral) expect_ = Expect::kValue;  // DEFAULT + name
  }
}

// SELECT a, *, t.*, count(*). Elsewhere it multiplies, though the word before it looked like a
// keyword: rows * "a string".
bool SqlClauses::StarIsOperand() const {
  switch (before_.kind) {
    case TokenKind::kOpen:
    case TokenKind::kComma:
    case TokenKind::kDot:
      return true;
    default:
      return Is(Keyword::kSelect) || Is(Keyword::kDistinct) || Is(Keyword::kAll) ||
             Is(Keyword::kReturning);
  }
}

void SqlClauses::Literal(const Token& token) {
  if (!IsTableInQuotes(token)) return Literal();
  WriteName(token, '"', text_);
  after_name_ = true;
  expect_ = Expect::kOperator;
}

// The statements of FTS and R-tree name their tables so: REPLACE INTO 'main'.'t_data' ....
bool SqlClauses::IsTableInQuotes(const Token& token) const {
  if (expect_ != Expect::kName || !IsClosedString(token)) return false;
  return before_.kind == TokenKind::kDot || NextIs(TokenKind::kDot) || Is(Keyword::kInto) ||
         Is(Keyword::kFrom) || Is(Keyword::kJoin) || Is(Keyword::kUpdate);
}

void SqlClauses::Literal() {
  text_.Literal();
  after_name_ = target_ != Target::kNone;  // CREATE TABLE 'name' (...)
  expect_ = Expect::kOperator;
}

// ORDER BY 2 names a column of the result, so another number is another statement.
void SqlClauses::Number(const Token& token) {
  constexpr std::size_t kMostDigits = 3;
  if (expect_ != Expect::kTerm || token.text.size() > kMostDigits || !TermEndsAtNext() ||
      token.text.find_first_not_of("0123456789") != std::string_view::npos) {
    return Literal();
  }
  text_.Verbatim(token.text);
  expect_ = Expect::kOperator;
}

bool SqlClauses::TermEndsAtNext() const {
  if (tokens_.AtEnd() || NextIs(TokenKind::kComma) || NextIs(TokenKind::kClose)) return true;
  switch (tokens_.next().keyword) {
    case Keyword::kAscDesc:
    case Keyword::kCollate:
    case Keyword::kFrameUnit:
    case Keyword::kHaving:
    case Keyword::kLimit:
    case Keyword::kNulls:
    case Keyword::kOrder:
    case Keyword::kSetOperator:
    case Keyword::kWindow:
      return true;
    default:
      return false;
  }
}

void SqlClauses::Open() {
  const bool after_comma = before_.kind == TokenKind::kComma;
  const bool after_name = std::exchange(after_name_, false);
  const Target target = after_name ? target_ : Target::kNone;
  const Clause clause = frame().clause;
  if (header_ == Header::kVirtual &&
      (Is(Keyword::kUsing) || before_that_.keyword == Keyword::kUsing)) {
    tokens_.SkipParentheses();  // any text: each module reads its own language
    text_.FoldedArguments();
    expect_ = Expect::kOperator;
  } else if (Is(Keyword::kIn)) {
    text_.OpenInList();
    Push({}, Expect::kValue);
  } else if (clause == Clause::kRows && (after_comma || Is(Keyword::kValues))) {
    text_.OpenRow(rows_.back());
    Push({Clause::kValues, true}, Expect::kValue);
  } else if (target == Target::kNames || target == Target::kColumns) {
    text_.Open(true);
    Push({target == Target::kNames ? Clause::kNames : Clause::kColumns}, Expect::kName);
  } else if (clause == Clause::kSources && expect_ == Expect::kName &&
             (after_comma || Is(Keyword::kFrom) || Is(Keyword::kJoin) ||
              before_.kind == TokenKind::kOpen)) {
    text_.Open(true);
    Push({Clause::kSources}, Expect::kName);
  } else if ((clause == Clause::kAssignments && (after_comma || Is(Keyword::kSet))) ||
             (clause == Clause::kColumns && (Is(Keyword::kKey) || Is(Keyword::kUnique))) ||
             Is(Keyword::kUsing)) {
    text_.Open(true);
    Push({Clause::kNames}, Expect::kName);
  } else {
    const bool is_call = after_name && target != Target::kTerms;
    text_.Open(!is_call);
    Push({Is(Keyword::kRaise) ? Clause::kRaise : Clause::kValues, false, false, is_call},
         Expect::kValue);
  }
}

void SqlClauses::Close() {
  const Frame closed = frame();
  if (!outermost()) {
    if (closed.has_rows) rows_.pop_back();
    frames_.pop_back();
  }
  if (closed.is_row) {
    text_.CloseRow(rows_.back());
  } else {
    text_.Close();
  }
  expect_ = Expect::kOperator;
  target_ = Target::kNone;
  after_name_ = false;
}

void SqlClauses::Comma() {
  target_ = Target::kNone;
  after_name_ = false;
  expect_ = Expect::kValue;
  switch (frame().clause) {
    case Clause::kRows:
      return text_.RowSeparator(rows_.back());
    case Clause::kTables:
      target_ = Target::kNames;
      expect_ = Expect::kName;
      break;
    case Clause::kNames:
    case Clause::kColumns:
    case Clause::kSources:
    case Clause::kAssignments:
    case Clause::kWindows:
      expect_ = Expect::kName;
      break;
    case Clause::kTerms:
      expect_ = Expect::kTerm;
      break;
    case Clause::kRaise:
      expect_ = Expect::kLiteral;
      break;
    case Clause::kValues:
    case Clause::kInsert:
      break;
  }
  text_.Comma();
}

void SqlClauses::Dot() {
  text_.Dot();
  after_name_ = false;
  expect_ = Expect::kName;
}

void SqlClauses::Ellipsis() {
  if (frame().clause == Clause::kRows && before_.kind == TokenKind::kComma) {
    text_.FoldRow(rows_.back());
  } else {
    text_.Ellipsis();
  }
  after_name_ = false;
  expect_ = Expect::kOperator;
}

}  // namespace walmanager
