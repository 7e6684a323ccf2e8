// Walks through one SQL statement and writes it normalized: knows at every token whether the
// grammar wants a name, a value or an operator there, which decides what is a literal (see
// normalize.h).
//
// No parser: it follows the keywords, the parentheses and the commas, and takes any sequence of
// tokens. Where it is unsure it expects a value, for then a name in double quotes becomes "?"; so
// kName and kOperator are set only where SQLite's grammar leaves no choice. It keeps four bytes per
// open parenthesis and no stack of calls. Not for several threads at once.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "ext/core/text/normalized_text.h"
#include "ext/core/text/sql_tokens.h"

namespace walmanager {

// A statement's tokens with a look at the next one.
class TokenStream {
 public:
  explicit TokenStream(std::string_view sql) : tokenizer_(sql) { tokenizer_.Next(tokens_[next_]); }
  const Token& next() const { return tokens_[next_]; }
  // Good until the next call. The two change places and are not copied: this is the inner loop.
  const Token& Take() {
    next_ ^= 1;
    tokenizer_.Next(tokens_[next_]);
    return tokens_[next_ ^ 1];
  }
  bool AtEnd() const {
    return next().kind == TokenKind::kEnd || next().kind == TokenKind::kSemicolon;
  }
  // Passes over the tokens up to the parenthesis that closes one that was just taken, and over
  // that.
  void SkipParentheses();

 private:
  SqlTokenizer tokenizer_;
  Token tokens_[2];
  unsigned next_ = 0;
};

// A name, quoted only if it must be. `quote`: the kind of quotes that keep it a name where it
// stands.
void WriteName(const Token& token, char quote, NormalizedText& text);

class SqlClauses {
 public:
  // Both must outlive this.
  SqlClauses(TokenStream& tokens, NormalizedText& text) : tokens_(tokens), text_(text) {}

  // To the end of the statement. That of CREATE TRIGGER is its last END.
  void Run();
  // The first SELECT, VALUES, INSERT, REPLACE, UPDATE or DELETE outside parentheses; kNone if none.
  Keyword verb() const { return verb_; }

 private:
  enum class Expect : std::uint8_t {
    kValue,
    kTerm,     // a value, as a term of ORDER BY or GROUP BY
    kName,     // nothing but a name (or a keyword, or a query in parentheses)
    kLiteral,  // a value, and a name is a string
    kOperator  // behind a value or name: an operator, a keyword or an alias
  };
  // What the commas of a pair of parentheses separate, where the reader stands.
  enum class Clause : std::uint8_t {
    kValues,  // expressions, or nothing special
    kNames,
    kColumns,  // the definitions in CREATE TABLE
    kSources,  // FROM
    kAssignments,
    kTerms,
    kTables,  // WITH
    kWindows,
    kInsert,  // between INTO and the rows: no commas
    kRows,    // VALUES
    kRaise,
  };
  struct Frame {
    Clause clause = Clause::kValues;
    bool is_row = false;    // the parentheses are a row of VALUES
    bool has_rows = false;  // its VALUES has an entry in rows_
    bool is_call = false;   // a function's arguments
  };
  struct Passed {
    TokenKind kind = TokenKind::kEnd;
    Keyword keyword = Keyword::kNone;
    bool wrote_keyword = false;  // it was written as one, and may be a name elsewhere
  };
  // What parentheses behind the name that stands here hold.
  enum class Target : std::uint8_t { kNone, kNames, kColumns, kTerms };
  // The part of a CREATE, DROP or ALTER before anything that an expression may be in.
  enum class Header : std::uint8_t {
    kNone,
    kObject,
    kTable,
    kVirtual,
    kIndex,
    kTrigger,
    kTriggerTable,
    kBody
  };

  void StartStatement();
  void Step(const Token& token);
  void Word(const Token& token);
  void Unreserved(const Token& token);
  bool UnreservedKeyword(const Token& token);
  void Reserved(const Token& token);
  void SchemaKeyword(Keyword keyword);
  void Rows();
  void Constant(const Token& token);
  void Quoted(const Token& token);
  void Name(const Token& token);
  void Literal(const Token& token);
  void Literal();
  bool IsTableInQuotes(const Token& token) const;
  void Number(const Token& token);
  void Operator(const Token& token);
  void Open();
  void Close();
  void Comma();
  void Dot();
  void Ellipsis();
  void Push(Frame frame, Expect expect);

  void Enter(Clause clause, Expect expect);
  Frame& frame() { return frames_.back(); }
  const Frame& frame() const { return frames_.back(); }
  bool outermost() const { return frames_.size() == 1; }
  bool Is(Keyword keyword) const { return before_.keyword == keyword; }
  bool NextIs(TokenKind kind) const { return tokens_.next().kind == kind; }
  bool NextMayBeName() const;
  bool BeginsWithClause() const;
  bool BeginsWindow() const;
  bool IsAliasInResult(const Token& token) const;
  bool IsInPhrase(const Token& token) const;
  bool NameIsString() const;
  bool TermEndsAtNext() const;
  bool StarIsOperand() const;

  TokenStream& tokens_;
  NormalizedText& text_;
  std::vector<Frame> frames_;
  std::vector<NormalizedText::Rows> rows_;
  Passed before_;  // the last two tokens before the one at hand
  Passed before_that_;
  Expect expect_ = Expect::kValue;
  Target target_ = Target::kNone;
  Header header_ = Header::kNone;
  Keyword first_ = Keyword::kNone;  // the word that the statement begins with
  Keyword verb_ = Keyword::kNone;
  bool after_name_ = false;  // a name before "(" is a function's
  bool statement_start_ = true;
  bool wrote_keyword_ = false;  // as Passed has it, of the token at hand
};

}  // namespace walmanager
