// The text of a normalized statement while it is written: spacing that depends on nothing but the
// tokens, and the lists that are folded, IN (...) and VALUES (...), ....
//
// The easy mistake: two tokens that would read as a third when they stand together ("-" "-", "/"
// "*"). Every rule here must keep them apart, or normalizing the text again gives another text.
// What is folded is not stored, so that a megabyte of rows costs the space of one. Not for several
// threads at once.
//
// Names are shown as they were typed. The text that the statement's id is made of has them in one
// case, and differs from the shown text in nothing else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace walmanager {

class NormalizedText {
 public:
  // `expected` bytes of text are likely.
  explicit NormalizedText(std::size_t expected) { out_.reserve(expected); }
  void Keyword(std::string_view word);      // written in upper case
  void Identifier(std::string_view word);   // in lower case in the text of the id
  void KeywordName(std::string_view word);  // a keyword that is a name: there in upper case
  // `content` without its quotes; `quote`, at both ends, is doubled inside.
  void QuotedIdentifier(std::string_view content, char quote);
  void Verbatim(std::string_view word);
  void Literal();
  void BinaryOperator(std::string_view op);
  void Sign(std::string_view op);  // what stands in front of its only operand
  void Open(bool spaced);
  void Close();
  void Comma();
  void Semicolon();
  void Dot();
  void Ellipsis();
  // "(...)": right behind the word before it.
  void FoldedArguments();

  // Behind IN: a list of nothing but literals becomes "(...)" when it closes.
  void OpenInList();

  // The rows of one VALUES. A row that reads like the first is taken back, and ", ..." stands for
  // it and for all such rows that follow it.
  struct Rows {
    std::size_t first_begin = 0;
    std::size_t first_size = 0;  // 0: no row yet
    std::size_t row_begin = 0;
    std::size_t separator = 0;   // where the comma before the row stands
    std::size_t folded_end = 0;  // where the text ended when it last ended in the ellipsis
  };
  void OpenRow(Rows& rows);
  void CloseRow(Rows& rows);
  void RowSeparator(Rows& rows);
  void FoldRow(Rows& rows);  // also where the ellipsis stood in the statement

  struct Texts {
    std::string shown;
    std::string of_id;
  };
  Texts Take();

 private:
  enum class Case : std::uint8_t { kLower, kUpper };
  // A name in the text, and its case in the text of the id.
  struct Name {
    std::size_t begin, end;
    Case of_id;
  };
  // What the text ends in, as far as it decides on the space behind.
  enum class Last { kNothing, kWord, kOpen, kClose, kComma, kBinary, kSign, kDot, kEllipsis };
  // A list behind IN that may yet be folded, and so is not written yet.
  struct InList {
    bool open = false;
    bool has_ellipsis = false;
    bool after_comma = false;
    std::size_t literals = 0;
  };

  void BeforeWord();
  void AppendName(std::string_view word, Case of_id);
  void SpaceUnlessAtOpening();
  void WriteInList();

  std::string out_;
  std::vector<Name> names_;  // in the order of the text
  Last last_ = Last::kNothing;
  InList in_list_;
};

}  // namespace walmanager
