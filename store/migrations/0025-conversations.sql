-- Conversations between agents under a protocol. The row is the lock of whoever makes something of it.
create table conversation (
  namespace text not null,
  id uuid primary key,
  protocol text not null,
  -- As they were given, checked.
  parameters json not null,
  -- What core makes of it (core/conversation/state.ts); null: it has not begun.
  state json,
  status text not null default 'open' check (status in ('open', 'completed', 'failed', 'cancelled')),
  -- When it has to be looked at, whether or not anybody says something.
  due_at timestamptz,
  created_by text not null,
  -- The key of an Idempotency-Key header.
  request_key text,
  -- The task that it is the work of.
  task_id uuid,
  created_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz,
  constraint open_is_due check ((status = 'open') = (due_at is not null))
);
create unique index conversation_key on conversation (namespace, request_key) where request_key is not null;
create unique index conversation_task on conversation (task_id) where task_id is not null;
create index conversation_due on conversation (due_at) where status = 'open';
create index conversation_tasks_open on conversation (task_id) where status = 'open' and task_id is not null;
create index conversation_listed on conversation (namespace, id);

-- What was said, and what was not accepted, numbered from 1 without a gap.
create table conversation_entry (
  conversation_id uuid not null references conversation (id) on delete cascade,
  seq int not null,
  entry json not null,
  primary key (conversation_id, seq)
);
