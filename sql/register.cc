// Registers the functions of functions.cc, and calls them behind the guard at the C edge.
#include <memory>
#include <optional>
#include <vector>

#include "ext/connection/connection.h"
#include "ext/engine/sqlite.h"
#include "sql/function.h"
#include "sql/top_level.h"

namespace walmanager {
namespace {

struct FunctionContext {
  const Function* function;
  Connection* connection;
  // Shared by the functions of a connection: true while a function that acts runs. SQL that it runs
  // must not call one again.
  std::shared_ptr<bool> acting;
};

// Marks that a function that acts runs, for as long as this object lives.
class Acting {
 public:
  explicit Acting(bool& acting) : acting_(acting) { acting_ = true; }
  ~Acting() { acting_ = false; }
  Acting(const Acting&) = delete;
  Acting& operator=(const Acting&) = delete;

 private:
  bool& acting_;
};

void SetError(sqlite3_context* context, const Error& error) {
  // Set the message first: sqlite3_result_error_code() sets its own if there is none.
  sqlite3_result_error(context, error.message.c_str(), -1);
  sqlite3_result_error_code(context, static_cast<int>(error.code));
}

void Call(sqlite3_context* context, int count, sqlite3_value** values) {
  const int rc = AtCEdge([&] {
    const auto* call = static_cast<FunctionContext*>(sqlite3_user_data(context));
    const Function& function = *call->function;
    if (!call->connection->belongs_here()) {
      SetError(context, Error{std::string(function.name) +
                              ": this connection was opened before a fork, in the parent"});
      return SQLITE_OK;
    }
    call->connection->UsesExtension();
    if (count < function.least_arguments || count > function.most_arguments) {
      SetError(context, Error{std::string(function.name) + ": " + std::to_string(count) +
                              (count == 1 ? " argument" : " arguments") + " given; call it as " +
                              function.signature});
      return SQLITE_OK;
    }
    std::optional<Acting> acting;
    if (function.acts) {
      // SQLite's own message for this case.
      if (*call->acting || !IsCalledAtTopLevel(*call->connection, function.name)) {
        SetError(context, Error{std::string("unsafe use of ") + function.name + "()"});
        return SQLITE_OK;
      }
      acting.emplace(*call->acting);
    }
    std::vector<Value> arguments;
    for (int i = 0; i < count; ++i) arguments.push_back(FromSqlite(values[i]));
    const auto result = function.call(*call->connection, Arguments(function.name, arguments));
    if (result.ok())
      SetResult(context, result.value());
    else
      SetError(context, result.error());
    return SQLITE_OK;
  });
  if (rc == SQLITE_NOMEM)
    sqlite3_result_error_nomem(context);
  else if (rc != SQLITE_OK)
    sqlite3_result_error(context, "walmanager: internal error", -1);
}

}  // namespace

Result<std::string> Arguments::Text(std::size_t index, const char* argument) const {
  if (has(index) && at(index).text()) return *at(index).text();
  return Wrong(index, argument, "text");
}

Result<std::string> Arguments::SchemaName(std::size_t index) const {
  if (!has(index)) return std::string("main");
  return Text(index, "schema");
}

Error Arguments::Prefixed(const Error& error) const {
  return Error{std::string(function_) + ": " + error.message, error.code};
}

Error Arguments::Wrong(std::size_t index, const char* argument, const std::string& allowed) const {
  const std::string shown = has(index) ? at(index).Shown() : "missing";
  return Error{std::string(function_) + ": " + argument + " " + shown + " is not " + allowed};
}

Status RegisterFunctions(Connection* connection) {
  const auto acting = std::make_shared<bool>(false);
  for (const Function& function : AllFunctions()) {
    auto* context = new FunctionContext{&function, connection, acting};
    // Registered for any number of arguments, so that Call() can report a wrong one. SQLite owns
    // the context from here on, even if the call fails.
    const int rc = sqlite3_create_function_v2(
        connection->db(), function.name, -1, SQLITE_UTF8 | (function.acts ? SQLITE_DIRECTONLY : 0),
        context, Call, nullptr, nullptr,
        [](void* aux) { delete static_cast<FunctionContext*>(aux); });
    if (rc != SQLITE_OK)
      return Error{std::string("function ") + function.name + ": " +
                   sqlite3_errmsg(connection->db())};
  }
  return Ok{};
}

}  // namespace walmanager
