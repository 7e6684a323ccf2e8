#include "ext/core/text/used_names.h"

#include <utility>
#include <vector>

#include "ext/core/text/sql_names.h"
#include "ext/core/text/sql_tokens.h"

namespace walmanager {
namespace {

class Finder {
 public:
  explicit Finder(std::string_view sql) {
    SqlTokenizer tokens(sql);
    for (Token token; tokens.Next(token), token.kind != TokenKind::kEnd;) tokens_.push_back(token);
  }

  UsedNames Find() {
    for (at_ = 0; at_ < tokens_.size(); ++at_) Take(tokens_[at_]);
    for (const std::string& name : of_with_) used_.tables.erase(name);
    return std::move(used_);
  }

 private:
  // A pair of parentheses that is open, or the whole text.
  struct Frame {
    bool in_from = false;  // a comma is followed by another table
    bool in_with = false;
    bool is_cast = false, in_type = false;
  };

  Keyword KeywordAt(std::size_t at) const {
    return at < tokens_.size() ? tokens_[at].keyword : Keyword::kNone;
  }
  TokenKind KindAt(std::size_t at) const {
    return at < tokens_.size() ? tokens_[at].kind : TokenKind::kEnd;
  }
  // Empty where it is no name.
  std::string NameAt(std::size_t at) const {
    if (at >= tokens_.size() || IsReserved(tokens_[at].keyword)) return "";
    return NameOf(tokens_[at]);
  }

  void Take(const Token& token) {
    Frame& frame = frames_.back();
    switch (token.kind) {
      case TokenKind::kOpen:
        // A join in parentheses, or a query, which begins with a keyword.
        frames_.push_back({.in_from = wants_table_, .is_cast = IsCast(at_)});
        if (!frames_.back().in_from) wants_table_ = false;
        return;
      case TokenKind::kClose:
        if (frames_.size() > 1) frames_.pop_back();
        wants_table_ = false;
        return;
      case TokenKind::kComma:
        wants_table_ = frame.in_from;
        wants_with_ = frame.in_with;
        return;
      default:
        break;
    }
    if (IsReserved(token.keyword) || token.keyword == Keyword::kWith ||
        token.keyword == Keyword::kLike) {
      TakeKeyword(token, frame);
      return;
    }
    const std::string name = NameOf(token);
    if (name.empty()) return;
    if (wants_with_) {
      if (token.keyword == Keyword::kRecursive && KindAt(at_ + 1) != TokenKind::kOpen &&
          KeywordAt(at_ + 1) != Keyword::kAs) {
        return;
      }
      wants_with_ = false;
      // That of a query in parentheses is not known outside of it.
      if (frames_.size() == 1) of_with_.insert(name);
    } else if (wants_table_) {
      TakeTable(name);
    } else if (token.kind != TokenKind::kLiteral && KindAt(at_ + 1) == TokenKind::kOpen &&
               !frame.in_type && MayBeFunction(token) && !IsLengthOfType(at_ + 1)) {
      used_.functions.insert(name);
    }
  }

  bool IsCast(std::size_t open) const {
    return open > 0 && tokens_[open - 1].kind == TokenKind::kWord && NameAt(open - 1) == "cast";
  }

  // The parentheses that open there hold numbers alone, in a CREATE TABLE: VARCHAR(10).
  bool IsLengthOfType(std::size_t open) const {
    if (KeywordAt(0) != Keyword::kCreate || KeywordAt(1) != Keyword::kTable) return false;
    std::size_t at = open + 1;
    while (KindAt(at) == TokenKind::kNumber || KindAt(at) == TokenKind::kComma) ++at;
    return at > open + 1 && KindAt(at) == TokenKind::kClose;
  }

  static bool MayBeFunction(const Token& token) {
    if (token.kind == TokenKind::kQuoted) return true;
    switch (token.keyword) {
      case Keyword::kNone:
      case Keyword::kIf:
      case Keyword::kReplace:
        return true;
      case Keyword::kAnyName:
        return LowerName(token.text) != "cast";
      default:
        return false;
    }
  }

  void TakeTable(std::string name) {
    wants_table_ = false;
    if (KindAt(at_ + 1) == TokenKind::kDot) {
      used_.other_schema |= name != "main";
      name = NameAt(at_ += 2);
    }
    used_.tables.insert(std::move(name));
  }

  void TakeKeyword(const Token& token, Frame& frame) {
    wants_table_ = wants_with_ = false;
    switch (token.keyword) {
      case Keyword::kWith:
        frame.in_with = wants_with_ = true;
        return;
      case Keyword::kFrom:
        frame.in_from = wants_table_ = true;
        return;
      case Keyword::kJoin:
      case Keyword::kInto:
      case Keyword::kReferences:
        wants_table_ = true;
        return;
      case Keyword::kUpdate:
        // UPDATE OR IGNORE t
        if (KeywordAt(at_ + 1) == Keyword::kOr) at_ += 2;
        wants_table_ = KeywordAt(at_ + 1) != Keyword::kOf;
        return;
      case Keyword::kIn:
        wants_table_ = KindAt(at_ + 1) != TokenKind::kOpen;
        return;
      case Keyword::kCollate:
        if (std::string name = NameAt(at_ + 1); !name.empty()) {
          used_.collations.insert(std::move(name));
          ++at_;
        }
        return;
      case Keyword::kLike:
        if (LowerName(token.text) == "regexp") used_.functions.insert("regexp");
        return;
      case Keyword::kAs:
        frame.in_type = frame.is_cast;
        return;
      case Keyword::kSelect:
      case Keyword::kValues:
      case Keyword::kInsert:
      case Keyword::kDelete:
      case Keyword::kSet:
      case Keyword::kWhere:
      case Keyword::kGroup:
      case Keyword::kHaving:
      case Keyword::kOrder:
      case Keyword::kLimit:
      case Keyword::kSetOperator:
      case Keyword::kReturning:
        frame.in_from = frame.in_with = false;
        return;
      default:
        return;
    }
  }

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  std::vector<Frame> frames_{1};
  bool wants_table_ = false, wants_with_ = false;
  std::set<std::string> of_with_;
  UsedNames used_;
};

}  // namespace

UsedNames FindUsedNames(std::string_view sql) { return Finder(sql).Find(); }

}  // namespace walmanager
