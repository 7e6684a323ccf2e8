#include "ext/core/text/index_use.h"

#include <algorithm>
#include <utility>

#include "ext/core/text/plan_text.h"
#include "ext/core/text/sql_names.h"
#include "ext/core/text/sql_tokens.h"

namespace walmanager {
namespace {

using Names = std::set<std::string>;
using Reason = UnusedIndex::Reason;

constexpr std::string_view kCutMark = "…";

template <typename Visit>
void ForEachToken(std::string_view sql, Visit visit) {
  SqlTokenizer tokens(sql);
  Token token;
  for (tokens.Next(token); token.kind != TokenKind::kEnd; tokens.Next(token)) visit(token);
}

void Append(std::string& tokens, const Token& token) {
  if (!tokens.empty()) tokens += ' ';
  tokens += token.kind == TokenKind::kWord ? LowerName(token.text) : std::string(token.text);
}

Names NamesIn(std::string_view sql) {
  Names names;
  AddNames(sql, names);
  return names;
}

// The names behind INDEXED BY.
void AddPinned(std::string_view sql, Names& pinned) {
  bool indexed = false, by = false;
  ForEachToken(sql, [&](const Token& token) {
    if (std::string name = NameOf(token); by && !name.empty()) pinned.insert(std::move(name));
    by = indexed && token.keyword == Keyword::kBy;
    indexed = token.keyword == Keyword::kIndexed;
  });
}

// Whether the plan may depend on the value of a parameter or literal: a pattern may begin with a
// text.
bool HasPattern(std::string_view sql) {
  bool has = false;
  ForEachToken(sql, [&](const Token& token) { has = has || token.keyword == Keyword::kLike; });
  return has;
}

class Finder {
 public:
  Finder(const SchemaOfIndexes& schema, std::span<const SeenStatement> statements)
      : schema_(schema), statements_(statements) {
    for (const IndexShape& index : schema.indexes) {
      Names names = NamesIn(index.where);
      for (const IndexShape::Part& part : index.parts) {
        AddNames(part.what, names);
        names.insert(part.what);
      }
      names_of_index_.push_back(std::move(names));
    }
    for (const SchemaOfIndexes::Object& object : schema.objects) AddPinned(object.sql, pinned_);
    for (const SeenStatement& statement : statements) {
      AddPinned(statement.text, pinned_);
      Names names = NamesIn(statement.text);
      Follow(statement.writes, names);
      names_of_statement_.push_back(std::move(names));
    }
  }

  std::vector<UnusedIndex> Find(bool all_seen) {
    FindCovered();
    std::vector<UnusedIndex> found;
    for (std::size_t i = 0; i < schema_.indexes.size(); ++i) {
      if (cover_[i]) {
        const bool same = Same(i, *cover_[i]);
        found.push_back({i, same ? Reason::kDuplicate : Reason::kPrefix, cover_[i]});
      } else if (all_seen && MayGo(i) && !Covers(i) && !MayBeNeeded(i)) {
        found.push_back({i, Reason::kNotUsed, std::nullopt});
      }
    }
    return found;
  }

 private:
  const IndexShape& At(std::size_t i) const { return schema_.indexes[i]; }
  bool MayGo(std::size_t i) const {
    return !At(i).unique && !At(i).sql.empty() && !pinned_.contains(LowerName(At(i).name));
  }
  bool Same(std::size_t a, std::size_t b) const { return At(a).parts == At(b).parts; }
  bool Covers(std::size_t i) const {
    return std::find(cover_.begin(), cover_.end(), std::optional(i)) != cover_.end();
  }

  bool IsUsed(std::size_t i) const {
    return std::any_of(statements_.begin(), statements_.end(), [&](const SeenStatement& statement) {
      return PlanUsesIndex(statement.plan, At(i).name);
    });
  }

  // Whether `b` begins with the columns of `a`, and is of the same rows.
  bool BeginsWith(std::size_t b, std::size_t a) const {
    const IndexShape &of = At(a), &longer = At(b);
    return a != b && LowerName(of.table) == LowerName(longer.table) && of.where == longer.where &&
           !of.parts.empty() && of.parts.size() <= longer.parts.size() &&
           std::equal(of.parts.begin(), of.parts.end(), longer.parts.begin());
  }

  // Of two that are the same, which one stays.
  bool Stays(std::size_t a, std::size_t b) const {
    if (MayGo(a) != MayGo(b)) return !MayGo(a);
    return a < b;
  }

  // The one that covers others stays: it is covered by none that could go.
  void FindCovered() {
    cover_.assign(schema_.indexes.size(), std::nullopt);
    for (std::size_t a = 0; a < schema_.indexes.size(); ++a) {
      if (!MayGo(a)) continue;
      for (std::size_t b = 0; b < schema_.indexes.size(); ++b) {
        if (!BeginsWith(b, a) || (Same(a, b) && !Stays(b, a))) continue;
        // A shorter index has the rows of one value in the order of their rowid, and is read faster
        // than a primary key that is the table itself. So one that a plan uses stays.
        if ((!Same(a, b) || At(b).sql.empty()) && IsUsed(a)) continue;
        // The longest; of the same, the one that stays.
        if (!cover_[a] || At(*cover_[a]).parts.size() < At(b).parts.size() ||
            (Same(*cover_[a], b) && Stays(b, *cover_[a]))) {
          cover_[a] = b;
        }
      }
    }
  }

  // Adds what the names stand for: the texts of views, of triggers, and the tables that refer to
  // one that is written.
  void Follow(bool writes, Names& names) const {
    for (std::size_t before = 0; before != names.size();) {
      before = names.size();
      for (const SchemaOfIndexes::Object& object : schema_.objects) {
        const std::string& by = object.is_trigger ? object.table : object.name;
        if ((!object.is_trigger || writes) && names.contains(LowerName(by))) {
          AddNames(object.sql, names);
        }
      }
      for (const SchemaOfIndexes::ForeignKey& key : schema_.foreign_keys) {
        if (writes && names.contains(LowerName(key.parent))) names.insert(LowerName(key.table));
      }
    }
  }

  // SQLite looks for the rows that refer to one that goes, where the program has it enforce foreign
  // keys.
  bool ServesForeignKey(const IndexShape& index) const {
    const auto& keys = schema_.foreign_keys;
    return std::any_of(keys.begin(), keys.end(), [&](const SchemaOfIndexes::ForeignKey& key) {
      return LowerName(key.table) == LowerName(index.table) &&
             std::any_of(key.columns.begin(), key.columns.end(), [&](const std::string& column) {
               return LowerName(column) == index.parts.front().what;
             });
    });
  }

  bool MayBeNeeded(std::size_t i) const {
    const IndexShape& index = At(i);
    if (index.parts.empty() || ServesForeignKey(index)) return true;
    for (std::size_t s = 0; s < statements_.size(); ++s) {
      if (MayUse(s, i)) return true;
    }
    // Where nothing is known, nothing is unused.
    return std::none_of(statements_.begin(), statements_.end(),
                        [](const SeenStatement& statement) { return statement.plan_is_known; });
  }

  bool MayUse(std::size_t s, std::size_t i) const {
    const SeenStatement& statement = statements_[s];
    const IndexShape& index = At(i);
    if (PlanUsesIndex(statement.plan, index.name)) return true;
    const bool is_cut = statement.text.ends_with(kCutMark);
    if (!is_cut && !names_of_statement_[s].contains(LowerName(index.table))) return false;
    if (is_cut || !statement.plan_is_known) return true;
    // The plan is that of other values.
    const bool may_change = !statement.one_text || schema_.has_samples ||
                            HasPattern(statement.text) || !index.where.empty();
    return may_change && NamesColumnOf(s, i);
  }

  // Whether the statement names a column of the index. A view may name it.
  bool NamesColumnOf(std::size_t s, std::size_t i) const {
    const Names& names = names_of_statement_[s];
    if (names.contains("natural")) return true;  // a join by columns that it does not name
    return std::any_of(names_of_index_[i].begin(), names_of_index_[i].end(),
                       [&](const std::string& name) { return names.contains(name); });
  }

  const SchemaOfIndexes& schema_;
  const std::span<const SeenStatement> statements_;
  std::vector<Names> names_of_index_, names_of_statement_;
  Names pinned_;                                   // by INDEXED BY
  std::vector<std::optional<std::size_t>> cover_;  // of each index that is covered
};

}  // namespace

IndexText ReadIndexText(std::string_view create_index) {
  IndexText text;
  std::string part;
  int depth = 0;
  bool on = false, done = false, where = false;
  ForEachToken(create_index, [&](const Token& token) {
    if (where) return Append(text.where, token);
    if (done) {
      where = token.keyword == Keyword::kWhere;
      return;
    }
    on = on || token.keyword == Keyword::kOn;
    if (!on) return;
    if (token.kind == TokenKind::kOpen && depth++ == 0) return;
    if (depth == 0) return;
    if (token.kind == TokenKind::kClose && --depth == 0) {
      text.parts.push_back(std::exchange(part, ""));
      done = true;
    } else if (token.kind == TokenKind::kComma && depth == 1) {
      text.parts.push_back(std::exchange(part, ""));
    } else {
      Append(part, token);
    }
  });
  return text;
}

std::vector<UnusedIndex> FindUnusedIndexes(const SchemaOfIndexes& schema,
                                           std::span<const SeenStatement> statements,
                                           bool all_seen) {
  return Finder(schema, statements).Find(all_seen);
}

}  // namespace walmanager
