// The names in an SQL text, by its tokens alone: also words that name nothing, but no name is
// missed. Pure.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "ext/core/text/sql_tokens.h"

namespace walmanager {

// In lower case (ASCII), as SQLite compares names.
std::string LowerName(std::string_view name);

// The name that the token is, in lower case and without its quotes; empty where it is none. A
// string in single quotes may be one.
std::string NameOf(const Token& token);

// Adds every word and all that is in quotes, without them and in lower case.
void AddNames(std::string_view sql, std::set<std::string>& names);

// Adds the names behind REFERENCES: the tables that a CREATE TABLE has foreign keys to.
void AddReferredNames(std::string_view sql, std::set<std::string>& names);

// Whether a CREATE TABLE has foreign keys.
bool HasReferences(std::string_view sql);

// Whether `sql` calls the function of that name, which is in lower case.
bool Calls(std::string_view sql, std::string_view function);

}  // namespace walmanager
