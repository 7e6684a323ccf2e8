-- The statements of the conversation workload, for scripts/conversation_workload.py and for tests/bench.
--
-- Format, line by line: `-- name: x` starts statement x; any other line that begins with `--` is a
-- comment and an empty line is nothing; all other lines are the statement, up to and including the
-- first line that ends with `;`.
--
-- A parameter means the same everywhere, so one set of values serves every statement that reads:
-- :project_id, :conversation_id, :role, :tool, :since (a time), :pattern (for LIKE), :limit; `message`
-- alone has a :message_id.

-- ---------------------------------------------------------------- writes

-- name: begin
-- A transaction that will write takes the write lock at once: one that upgrades later cannot wait.
BEGIN IMMEDIATE;

-- name: commit
COMMIT;

-- name: rollback
ROLLBACK;

-- name: insert_project
INSERT INTO projects (name, description, created_at)
VALUES (:name, :description, :created_at);

-- name: insert_conversation
INSERT INTO conversations (project_id, title, model, created_at, updated_at)
VALUES (:project_id, :title, :model, :created_at, :created_at);

-- name: insert_message
INSERT INTO messages (conversation_id, role, content, tokens, created_at)
VALUES (:conversation_id, :role, :content, :tokens, :created_at);

-- name: insert_tool_use
INSERT INTO tool_uses (message_id, tool, status, input, output, duration_ms, started_at)
VALUES (:message_id, :tool, :status, :input, :output, :duration_ms, :started_at);

-- name: insert_messages
-- A batch: :messages is a JSON array of {role, content, tokens, created_at}.
INSERT INTO messages (conversation_id, role, content, tokens, created_at)
SELECT :conversation_id, json_extract(value, '$.role'), json_extract(value, '$.content'),
       json_extract(value, '$.tokens'), json_extract(value, '$.created_at')
FROM json_each(:messages) ORDER BY key;

-- name: insert_tool_uses
-- A batch: :tool_uses is a JSON array of {message_id, tool, status, input, output, duration_ms, started_at}.
INSERT INTO tool_uses (message_id, tool, status, input, output, duration_ms, started_at)
SELECT json_extract(value, '$.message_id'), json_extract(value, '$.tool'),
       json_extract(value, '$.status'), json_extract(value, '$.input'),
       json_extract(value, '$.output'), json_extract(value, '$.duration_ms'),
       json_extract(value, '$.started_at')
FROM json_each(:tool_uses) ORDER BY key;

-- name: finish_tool_use
UPDATE tool_uses
SET status = :status, output = :output, duration_ms = :duration_ms
WHERE id = :tool_use_id AND status = 'pending';

-- name: touch_conversation
-- With every transaction that adds messages; :messages and :tokens are what it added.
UPDATE conversations
SET updated_at = :updated_at, message_count = message_count + :messages, tokens = tokens + :tokens
WHERE id = :conversation_id;

-- name: rename_conversation
UPDATE conversations SET title = :title, updated_at = :updated_at
WHERE id = :conversation_id;

-- ---------------------------------------------------------------- reads

-- name: latest_messages
-- What opens when a conversation is opened.
SELECT id, role, content, tokens, created_at FROM messages
WHERE conversation_id = :conversation_id
ORDER BY created_at DESC LIMIT :limit;

-- name: messages_since
SELECT id, role, content, created_at FROM messages
WHERE conversation_id = :conversation_id AND created_at > :since
ORDER BY created_at LIMIT :limit;

-- name: latest_user_messages
SELECT id, content, created_at FROM messages
WHERE conversation_id = :conversation_id AND role = 'user'
ORDER BY created_at DESC LIMIT :limit;

-- name: latest_by_role
SELECT id, conversation_id, tokens, created_at FROM messages
WHERE role = :role
ORDER BY created_at DESC LIMIT :limit;

-- name: latest_messages_with_tools
SELECT m.id, m.role, m.created_at, t.tool, t.status, t.duration_ms
FROM (SELECT id, role, created_at FROM messages
      WHERE conversation_id = :conversation_id
      ORDER BY created_at DESC LIMIT :limit) AS m
LEFT JOIN tool_uses AS t ON t.message_id = m.id
ORDER BY m.created_at, t.id;

-- name: message
-- The shortest read there is: a row by its key.
SELECT role, content, tokens, created_at FROM messages
WHERE id = :message_id;

-- name: recent_conversations
SELECT id, title, model, message_count, tokens, updated_at FROM conversations
WHERE project_id = :project_id
ORDER BY updated_at DESC LIMIT :limit;

-- name: search_conversation
SELECT id, role, substr(content, 1, 80) AS excerpt, created_at FROM messages
WHERE conversation_id = :conversation_id AND content LIKE :pattern
ORDER BY created_at DESC LIMIT :limit;

-- name: failed_tool_uses
SELECT t.id, t.tool, t.input, t.output, t.started_at, m.conversation_id
FROM tool_uses AS t JOIN messages AS m ON m.id = t.message_id
WHERE t.tool = :tool AND t.status = 'error'
ORDER BY t.started_at DESC LIMIT :limit;

-- name: slowest_successes
SELECT tool, duration_ms FROM tool_uses
WHERE tool = :tool AND status = 'success'
ORDER BY duration_ms DESC LIMIT :limit;

-- name: tool_statistics
SELECT tool, count(*) AS uses,
       avg(status = 'success') AS success_ratio,
       sum(status = 'pending') AS pending,
       avg(duration_ms) AS mean_ms, max(duration_ms) AS max_ms
FROM tool_uses
GROUP BY tool
ORDER BY uses DESC;

-- ---------------------------------------------------------------- analytics

-- name: analytics_roles
SELECT role, count(*) AS messages, sum(tokens) AS tokens,
       avg(length(content)) AS mean_length, max(length(content)) AS max_length
FROM messages
GROUP BY role
ORDER BY messages DESC;

-- name: analytics_hours
-- When people write, and how much is answered.
SELECT strftime('%H', created_at) AS hour,
       sum(role = 'user') AS asked, sum(role = 'assistant') AS answered, sum(tokens) AS tokens
FROM messages
WHERE created_at > :since
GROUP BY hour
ORDER BY hour;

-- name: analytics_projects
SELECT p.name, count(DISTINCT c.id) AS conversations, count(DISTINCT m.id) AS messages,
       count(t.id) AS tool_uses, avg(t.status = 'success') AS success_ratio,
       max(m.created_at) AS last_message_at
FROM projects AS p
JOIN conversations AS c ON c.project_id = p.id
LEFT JOIN messages AS m ON m.conversation_id = c.id
LEFT JOIN tool_uses AS t ON t.message_id = m.id
WHERE p.id = :project_id
GROUP BY p.id;

-- name: analytics_response_times
-- How long users of a project waited for the assistant, by day.
WITH turns AS (
  SELECT m.role, m.created_at,
         lag(m.role) OVER conversation AS role_before,
         lag(m.created_at) OVER conversation AS at_before
  FROM conversations AS c JOIN messages AS m ON m.conversation_id = c.id
  WHERE c.project_id = :project_id
  WINDOW conversation AS (PARTITION BY m.conversation_id ORDER BY m.created_at, m.id)
)
SELECT date(created_at) AS day, count(*) AS answers,
       avg(julianday(created_at) - julianday(at_before)) * 86400 AS mean_seconds,
       max(julianday(created_at) - julianday(at_before)) * 86400 AS max_seconds
FROM turns
WHERE role = 'assistant' AND role_before = 'user'
GROUP BY day
ORDER BY day;

-- name: analytics_tool_pairs
-- Which tool follows which within a conversation, and how often that went well.
WITH steps AS (
  SELECT t.tool, t.status, lag(t.tool) OVER conversation AS tool_before
  FROM messages AS m JOIN tool_uses AS t ON t.message_id = m.id
  WHERE m.conversation_id = :conversation_id
  WINDOW conversation AS (ORDER BY m.created_at, t.id)
)
SELECT tool_before, tool, count(*) AS times, avg(status = 'success') AS success_ratio
FROM steps
WHERE tool_before IS NOT NULL
GROUP BY tool_before, tool
ORDER BY times DESC LIMIT :limit;

-- name: analytics_growth
-- Tokens per day, and in total until then.
SELECT day, tokens, sum(tokens) OVER (ORDER BY day) AS tokens_until_then
FROM (SELECT date(created_at) AS day, sum(tokens) AS tokens
      FROM messages WHERE conversation_id = :conversation_id GROUP BY day)
ORDER BY day;
