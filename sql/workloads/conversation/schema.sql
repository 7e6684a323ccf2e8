-- The conversation database: what a chat or coding assistant keeps. Projects have conversations,
-- conversations have messages, messages have tool uses. Times are TEXT in UTC,
-- 'YYYY-MM-DD HH:MM:SS.SSS', so that they sort as text. Running it again changes nothing.

-- 'walm': by it scripts/conversation_workload.py knows its own databases.
PRAGMA application_id = 2002873453;

CREATE TABLE IF NOT EXISTS projects (
  id          INTEGER PRIMARY KEY,
  name        TEXT NOT NULL,
  description TEXT,
  created_at  TEXT NOT NULL
);

-- message_count and tokens are kept up to date with every message, so that a list of conversations
-- need not count.
CREATE TABLE IF NOT EXISTS conversations (
  id            INTEGER PRIMARY KEY,
  project_id    INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  title         TEXT NOT NULL,
  model         TEXT NOT NULL,
  message_count INTEGER NOT NULL DEFAULT 0,
  tokens        INTEGER NOT NULL DEFAULT 0,
  created_at    TEXT NOT NULL,
  updated_at    TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS messages (
  id              INTEGER PRIMARY KEY,
  conversation_id INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
  role            TEXT NOT NULL CHECK (role IN ('system', 'user', 'assistant')),
  content         TEXT NOT NULL,
  tokens          INTEGER NOT NULL,
  created_at      TEXT NOT NULL
);

-- A tool use is pending until its output and duration are known.
CREATE TABLE IF NOT EXISTS tool_uses (
  id          INTEGER PRIMARY KEY,
  message_id  INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
  tool        TEXT NOT NULL,
  status      TEXT NOT NULL CHECK (status IN ('pending', 'success', 'error')),
  input       TEXT NOT NULL,
  output      TEXT,
  duration_ms REAL,
  started_at  TEXT NOT NULL
);

CREATE INDEX IF NOT EXISTS conversations_by_project ON conversations (project_id, updated_at);
CREATE INDEX IF NOT EXISTS messages_by_conversation ON messages (conversation_id, created_at);
CREATE INDEX IF NOT EXISTS messages_by_role ON messages (role, created_at);
CREATE INDEX IF NOT EXISTS messages_of_users ON messages (conversation_id, created_at)
  WHERE role = 'user';
CREATE INDEX IF NOT EXISTS tool_uses_by_message ON tool_uses (message_id);
CREATE INDEX IF NOT EXISTS tool_uses_by_tool ON tool_uses (tool, status, started_at);
CREATE INDEX IF NOT EXISTS tool_uses_successful ON tool_uses (tool, duration_ms)
  WHERE status = 'success';
