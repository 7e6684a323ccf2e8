#include "ext/core/text/normalized_text.h"

#include <utility>

#include "ext/core/base/ascii_case.h"

namespace walmanager {

void NormalizedText::BeforeWord() {
  if (in_list_.open) WriteInList();
  switch (last_) {
    case Last::kNothing:
    case Last::kOpen:
    case Last::kDot:
    case Last::kSign:
      break;
    default:
      out_ += ' ';
  }
  last_ = Last::kWord;
}

void NormalizedText::SpaceUnlessAtOpening() {
  if (in_list_.open) WriteInList();
  if (last_ != Last::kNothing && last_ != Last::kOpen) out_ += ' ';
}

void NormalizedText::AppendName(std::string_view word, Case of_id) {
  BeforeWord();
  names_.push_back({out_.size(), out_.size() + word.size(), of_id});
  out_ += word;
}

void NormalizedText::Keyword(std::string_view word) {
  BeforeWord();
  for (const char c : word) out_ += AsciiUpper(c);
}

void NormalizedText::Identifier(std::string_view word) { AppendName(word, Case::kLower); }

void NormalizedText::KeywordName(std::string_view word) { AppendName(word, Case::kUpper); }

void NormalizedText::QuotedIdentifier(std::string_view content, char quote) {
  BeforeWord();
  const std::size_t begin = out_.size();
  out_ += quote;
  for (const char c : content) {
    if (c == quote) out_ += quote;
    out_ += c;
  }
  out_ += quote;
  names_.push_back({begin, out_.size(), Case::kLower});
}

void NormalizedText::Verbatim(std::string_view word) {
  BeforeWord();
  out_ += word;
}

void NormalizedText::Literal() {
  if (in_list_.open && !in_list_.has_ellipsis && (in_list_.literals == 0 || in_list_.after_comma)) {
    ++in_list_.literals;
    in_list_.after_comma = false;
    return;
  }
  BeforeWord();
  out_ += '?';
}

void NormalizedText::BinaryOperator(std::string_view op) {
  SpaceUnlessAtOpening();
  out_ += op;
  last_ = Last::kBinary;
}

void NormalizedText::Sign(std::string_view op) {
  SpaceUnlessAtOpening();
  out_ += op;
  last_ = Last::kSign;
}

void NormalizedText::Open(bool spaced) {
  if (in_list_.open) WriteInList();
  const bool joins = last_ == Last::kNothing || last_ == Last::kOpen || last_ == Last::kSign ||
                     last_ == Last::kDot;
  const bool must = last_ == Last::kComma || last_ == Last::kBinary || last_ == Last::kClose;
  if (must || (spaced && !joins)) out_ += ' ';
  out_ += '(';
  last_ = Last::kOpen;
}

void NormalizedText::OpenInList() {
  Open(true);
  in_list_ = InList{};
  in_list_.open = true;
}

void NormalizedText::Close() {
  if (in_list_.open) {
    if (in_list_.after_comma) {
      WriteInList();
    } else {
      in_list_.open = false;
      out_ += "...";
    }
  }
  out_ += ')';
  last_ = Last::kClose;
}

void NormalizedText::Comma() {
  if (in_list_.open) {
    if (in_list_.literals != 0 && !in_list_.after_comma) {
      in_list_.after_comma = true;
      return;
    }
    WriteInList();
  }
  out_ += ',';
  last_ = Last::kComma;
}

// The list holds something else: write the text that was held back.
void NormalizedText::WriteInList() {
  const InList list = std::exchange(in_list_, InList{});
  if (list.has_ellipsis) Ellipsis();
  for (std::size_t i = 0; i < list.literals; ++i) {
    if (i != 0) Comma();
    Literal();
  }
  if (list.after_comma) Comma();
}

void NormalizedText::Semicolon() {
  if (in_list_.open) WriteInList();
  out_ += ';';
  last_ = Last::kComma;
}

void NormalizedText::Dot() {
  if (in_list_.open) WriteInList();
  if (last_ == Last::kDot || last_ == Last::kEllipsis) out_ += ' ';
  out_ += '.';
  last_ = Last::kDot;
}

void NormalizedText::Ellipsis() {
  if (in_list_.open && in_list_.literals == 0 && !in_list_.has_ellipsis) {
    in_list_.has_ellipsis = true;
    return;
  }
  SpaceUnlessAtOpening();
  out_ += "...";
  last_ = Last::kEllipsis;
}

void NormalizedText::FoldedArguments() {
  Open(false);
  out_ += "...";
  Close();
}

void NormalizedText::OpenRow(Rows& rows) {
  Open(true);
  rows.row_begin = out_.size() - 1;
}

void NormalizedText::CloseRow(Rows& rows) {
  Close();
  const std::string_view text(out_);
  const std::string_view row = text.substr(rows.row_begin);
  if (rows.first_size == 0) {
    rows.first_begin = rows.row_begin;
    rows.first_size = row.size();
  } else if (EqualIgnoringCase(row, text.substr(rows.first_begin, rows.first_size))) {
    FoldRow(rows);
  }
}

void NormalizedText::RowSeparator(Rows& rows) {
  if (in_list_.open) WriteInList();
  rows.separator = out_.size();
  Comma();
}

void NormalizedText::FoldRow(Rows& rows) {
  out_.resize(rows.separator);
  while (!names_.empty() && names_.back().end > out_.size()) names_.pop_back();
  if (rows.separator != rows.folded_end) out_ += ", ...";
  rows.folded_end = out_.size();
  last_ = Last::kEllipsis;
}

NormalizedText::Texts NormalizedText::Take() {
  if (in_list_.open) WriteInList();
  Texts texts{std::move(out_), {}};
  texts.of_id = texts.shown;
  for (const Name& name : names_) {
    for (std::size_t i = name.begin; i < name.end; ++i) {
      char& c = texts.of_id[i];
      c = name.of_id == Case::kLower ? AsciiLower(c) : AsciiUpper(c);
    }
  }
  return texts;
}

}  // namespace walmanager
