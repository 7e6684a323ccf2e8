#include "tests/bench/conversation.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <sstream>

#include "ext/core/base/json_writer.h"
#include "ext/core/base/time_text.h"

namespace walmanager::bench {
namespace {

constexpr int kProjects = 5;
constexpr int kConversations = 50;
constexpr int kMessagesOfEach = 200;
constexpr int kWords = 30'000;
constexpr std::int64_t kStartMs = 1'736'150'400'000;  // 2025-01-06 08:00:00
constexpr const char* kTools[] = {"read_file", "edit_file", "run_command", "search_code",
                                  "fetch_page"};
constexpr const char* kVocabulary[] = {
    "the",   "a",     "to",    "of",         "and",      "in",      "is",     "it",    "that",
    "for",   "with",  "not",   "are",        "we",       "you",     "can",    "if",    "then",
    "when",  "which", "file",  "test",       "function", "value",   "error",  "table", "index",
    "query", "page",  "frame", "reader",     "writer",   "thread",  "lock",   "wait",  "time",
    "build", "check", "read",  "checkpoint", "because",  "message", "column", "after", "again"};

// What readers ask, and how often relative to each other.
struct Question {
  const char* statement;
  int weight;
};
constexpr Question kReads[] = {{"latest_messages", 30},
                               {"messages_since", 10},
                               {"latest_user_messages", 10},
                               {"latest_by_role", 5},
                               {"latest_messages_with_tools", 15},
                               {"recent_conversations", 15},
                               {"search_conversation", 3},
                               {"failed_tool_uses", 5},
                               {"slowest_successes", 5},
                               {"tool_statistics", 1}};
constexpr const char* kAnalytics[] = {"analytics_roles",      "analytics_hours",
                                      "analytics_projects",   "analytics_response_times",
                                      "analytics_tool_pairs", "analytics_growth"};

std::ifstream Open(const std::string& name) {
  const std::string path = std::string(CONVERSATION_SQL) + "/" + name;
  std::ifstream file(path);
  if (!file) Fail(path + ": cannot be read");
  return file;
}

// The named statements of workload.sql. The head of that file describes the format.
std::map<std::string, std::string> ReadStatements() {
  std::ifstream file = Open("workload.sql");
  constexpr char kName[] = "-- name: ";
  std::map<std::string, std::string> statements;
  std::string name;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(kName)) {
      name = line.substr(sizeof kName - 1);
    } else if (!line.empty() && !line.starts_with("--")) {
      statements[name] += line + "\n";
    }
  }
  return statements;
}

const std::string& SqlOf(const std::string& name) {
  static const auto kStatements = ReadStatements();
  const auto found = kStatements.find(name);
  if (found == kStatements.end()) Fail("workload.sql: no statement " + name);
  return found->second;
}

}  // namespace

Prose::Prose() {
  std::mt19937_64 random(1);
  for (int i = 0; i < kWords; ++i) {
    words_ += std::string(kVocabulary[random() % std::size(kVocabulary)]) + " ";
  }
}

std::string Prose::Slice(std::mt19937_64& random, double median) const {
  std::lognormal_distribution<double> lengths(std::log(median), 0.8);
  const auto length = std::min(static_cast<std::size_t>(lengths(random)) + 1, words_.size() / 4);
  return words_.substr(random() % (words_.size() - length), length);
}

ConversationClient::ConversationClient(Db& db, const Prose& prose, std::uint64_t seed)
    : db_(db), prose_(prose), random_(seed), clock_ms_(kStartMs) {}

Statement& ConversationClient::Get(const std::string& name) {
  const auto found = statements_.find(name);
  if (found != statements_.end()) return found->second;
  return statements_.try_emplace(name, db_.get(), SqlOf(name)).first->second;
}

sqlite3_int64 ConversationClient::Random(int from, int to) {
  return std::uniform_int_distribution<sqlite3_int64>(from, to)(random_);
}

ConversationClient::Message ConversationClient::NextMessage() {
  const bool user = Random(0, 1) == 0;
  clock_ms_ += Random(1000, user ? 180'000 : 16'000);
  std::string content = prose_.Slice(random_, user ? 140 : 600);
  const auto tokens = static_cast<sqlite3_int64>(content.size()) / 4 + 1;
  return {user ? "user" : "assistant", std::move(content), tokens, UtcText(clock_ms_)};
}

void ConversationClient::InsertToolUse(sqlite3_int64 message, const std::string& at) {
  const bool failed = Random(1, 100) <= 8;
  const std::string tool = kTools[Random(0, std::size(kTools) - 1)];
  const std::string status = failed ? "error" : "success";
  const std::string input = JsonObject().Add("argument", prose_.Slice(random_, 60)).text();
  const std::string output = prose_.Slice(random_, failed ? 80 : 400);
  Statement& insert = Get("insert_tool_use");
  insert.Bind(":message_id", message);
  insert.Bind(":tool", tool);
  insert.Bind(":status", status);
  insert.Bind(":input", input);
  insert.Bind(":output", output);
  insert.Bind(":duration_ms", Random(1, 2000));
  insert.Bind(":started_at", at);
  insert.Run();
}

void ConversationClient::Touch(sqlite3_int64 conversation, int messages, sqlite3_int64 tokens,
                               const std::string& at) {
  Statement& touch = Get("touch_conversation");
  touch.Bind(":conversation_id", conversation);
  touch.Bind(":messages", messages);
  touch.Bind(":tokens", tokens);
  touch.Bind(":updated_at", at);
  touch.Run();
}

void ConversationClient::InsertMessage(sqlite3_int64 conversation) {
  const Message message = NextMessage();
  const std::string role = message.role;
  Statement& insert = Get("insert_message");
  insert.Bind(":conversation_id", conversation);
  insert.Bind(":role", role);
  insert.Bind(":content", message.content);
  insert.Bind(":tokens", message.tokens);
  insert.Bind(":created_at", message.at);
  insert.Run();
  const sqlite3_int64 id = sqlite3_last_insert_rowid(db_.get());
  // Half of the assistant's messages use tools, one to three.
  const sqlite3_int64 uses = role == "assistant" ? std::max<sqlite3_int64>(Random(-2, 3), 0) : 0;
  for (sqlite3_int64 i = 0; i < uses; ++i) InsertToolUse(id, message.at);
  Touch(conversation, 1, message.tokens, message.at);
}

void ConversationClient::WriteMessage() {
  Get("begin").Run();
  InsertMessage(Random(1, kConversations));
  Get("commit").Run();
}

void ConversationClient::WriteBatch() {
  const sqlite3_int64 conversation = Random(1, kConversations);
  std::string batch;
  sqlite3_int64 tokens = 0;
  for (int i = 0; i < kBatchMessages; ++i) {
    const Message message = NextMessage();
    tokens += message.tokens;
    batch += (i == 0 ? "[" : ",") + JsonObject()
                                        .Add("role", message.role)
                                        .Add("content", message.content)
                                        .Add("tokens", std::int64_t{message.tokens})
                                        .Add("created_at", message.at)
                                        .text();
  }
  batch += "]";
  Get("begin").Run();
  Statement& insert = Get("insert_messages");
  insert.Bind(":conversation_id", conversation);
  insert.Bind(":messages", batch);
  insert.Run();
  Touch(conversation, kBatchMessages, tokens, UtcText(clock_ms_));
  Get("commit").Run();
}

void ConversationClient::Ask(const std::string& name) {
  const std::string role = Random(0, 1) == 0 ? "user" : "assistant";
  const std::string tool = kTools[Random(0, std::size(kTools) - 1)];
  const std::string since = UtcText(kStartMs + Random(0, 10 * 86'400) * 1000);
  const std::string pattern =
      std::string("%") + kVocabulary[Random(0, std::size(kVocabulary) - 1)] + " checkpoint%";
  Statement& question = Get(name);
  question.Bind(":project_id", Random(1, kProjects));
  question.Bind(":conversation_id", Random(1, kConversations));
  question.Bind(":role", role);
  question.Bind(":tool", tool);
  question.Bind(":since", since);
  question.Bind(":pattern", pattern);
  question.Bind(":limit", 20);
  question.Run();
}

void ConversationClient::Read() {
  int all = 0;
  for (const Question& question : kReads) all += question.weight;
  sqlite3_int64 chance = Random(1, all);
  for (const Question& question : kReads) {
    chance -= question.weight;
    if (chance <= 0) return Ask(question.statement);
  }
}

void ConversationClient::ReadMessage() {
  Statement& message = Get("message");
  message.Bind(":message_id", Random(1, kConversations * kMessagesOfEach));
  message.Run();
}

void ConversationClient::Analyze() { Ask(kAnalytics[analyses_++ % std::size(kAnalytics)]); }

void ConversationClient::Fill(Db& db, const Prose& prose) {
  std::ostringstream schema;
  schema << Open("schema.sql").rdbuf();
  db.Exec("PRAGMA journal_mode=WAL");
  db.Exec(schema.str() + "BEGIN");
  ConversationClient client(db, prose, 0);
  for (int i = 0; i < kProjects; ++i) {
    const std::string name = "project " + std::to_string(i + 1), at = UtcText(kStartMs);
    const std::string description = prose.Slice(client.random_, 100);
    Statement& insert = client.Get("insert_project");
    insert.Bind(":name", name);
    insert.Bind(":description", description);
    insert.Bind(":created_at", at);
    insert.Run();
  }
  for (int i = 0; i < kConversations; ++i) {
    client.clock_ms_ = kStartMs + std::int64_t{5} * 3'600'000 * i;
    const std::string title = prose.Slice(client.random_, 40), at = UtcText(client.clock_ms_);
    const std::string model = "medium";
    Statement& insert = client.Get("insert_conversation");
    insert.Bind(":project_id", i % kProjects + 1);
    insert.Bind(":title", title);
    insert.Bind(":model", model);
    insert.Bind(":created_at", at);
    insert.Run();
    const sqlite3_int64 conversation = sqlite3_last_insert_rowid(db.get());
    for (int k = 0; k < kMessagesOfEach; ++k) client.InsertMessage(conversation);
  }
  db.Exec("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
}

}  // namespace walmanager::bench
