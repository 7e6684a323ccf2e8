// A normalized text (normalize.h) as SQLite can prepare it again: with lists of parameters where
// lists were folded. Pure.
#pragma once

#include <string>
#include <string_view>

namespace walmanager {

// IN (...) is given three parameters, and the rows of VALUES that were left out stay out. Empty
// where the text was cut, since its end is not known. SQLite may still refuse the text: a string
// that stood for a name is lost, for example.
std::string PreparableText(std::string_view normalized);

// `sql` up to its RETURNING, which SQLite refuses where the table is a virtual one.
std::string_view WithoutReturning(std::string_view sql);

}  // namespace walmanager
