// The conversation workload: the schema and the statements of sql/workloads/conversation, as
// scripts/conversation_workload.py works with them, on one connection.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/bench/sqlite_db.h"

namespace walmanager::bench {

inline constexpr int kBatchMessages = 25;

// Text of realistic length: slices of one long line of words.
class Prose {
 public:
  Prose();
  // About `median` characters; the lengths are log-normal.
  std::string Slice(std::mt19937_64& random, double median) const;

 private:
  std::string words_;
};

// One client. What it does depends on `seed` alone. `prose` must outlive it.
class ConversationClient {
 public:
  ConversationClient(Db& db, const Prose& prose, std::uint64_t seed);
  // In one transaction: a message, the tools it used, and its conversation.
  void WriteMessage();
  // In one transaction: kBatchMessages messages by one statement, and their conversation.
  void WriteBatch();
  // One of the reads of the demo, as often relative to the others as there.
  void Read();
  // One message by its key.
  void ReadMessage();
  // One of the analytics, each as often as the others.
  void Analyze();

  // The schema, and conversations full of messages. For a new database alone.
  static void Fill(Db& db, const Prose& prose);

 private:
  struct Message {
    const char* role;
    std::string content;
    sqlite3_int64 tokens;
    std::string at;
  };
  Statement& Get(const std::string& name);
  Message NextMessage();
  void InsertMessage(sqlite3_int64 conversation);
  void InsertToolUse(sqlite3_int64 message, const std::string& at);
  void Touch(sqlite3_int64 conversation, int messages, sqlite3_int64 tokens, const std::string& at);
  void Ask(const std::string& name);
  sqlite3_int64 Random(int from, int to);

  Db& db_;
  const Prose& prose_;
  std::mt19937_64 random_;
  std::map<std::string, Statement> statements_;
  std::int64_t clock_ms_;  // of the messages
  std::uint64_t analyses_ = 0;
};

}  // namespace walmanager::bench
