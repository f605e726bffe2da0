-- What agents keep and tell each other. It belongs to an agent's name, so whoever registers under it again has it. One row a
-- name: whoever writes anything of that agent locks it, so that quotas hold and an inbox is in order.
create table agent_data (
  namespace text not null default 'default',
  name text not null,
  -- Null: there is none. The revision goes on, so that no later document is taken for an earlier one.
  document json,
  revision bigint not null default 0,
  expires_at timestamptz,
  updated_at timestamptz not null default clock_timestamp(),
  task_id uuid,
  attempt int,
  -- Of the writer's choice, so that a write whose answer was lost can be repeated.
  write_id uuid,
  -- The number of the last message in its inbox.
  last_message bigint not null default 0,
  primary key (namespace, name),
  constraint written_by_attempt check ((task_id is null) = (attempt is null)),
  constraint revision_counts check (revision >= 0 and (document is null or revision > 0))
);
create index agent_data_expiring on agent_data (expires_at) where expires_at is not null;

create table agent_memory (
  namespace text not null default 'default',
  owner text not null,
  id uuid not null,
  type text not null,
  content json not null,
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz,
  task_id uuid,
  attempt int,
  words tsvector not null generated always as (
    json_to_tsvector('simple'::regconfig, content, '["string", "numeric", "key"]')) stored,
  primary key (namespace, owner, id),
  constraint written_by_attempt check ((task_id is null) = (attempt is null))
);
create index agent_memory_expiring on agent_memory (expires_at) where expires_at is not null;

create table message (
  namespace text not null default 'default',
  owner text not null,
  -- In its inbox.
  number bigint not null,
  id uuid not null unique,
  sender_kind text not null check (sender_kind in ('agent', 'client')),
  sender text not null,
  -- Chosen by the sender.
  key text,
  type text,
  body json not null,
  conversation text,
  reply_to uuid,
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null,
  acknowledged_at timestamptz,
  task_id uuid,
  attempt int,
  primary key (namespace, owner, number),
  constraint written_by_attempt check ((task_id is null) = (attempt is null))
);
create unique index message_key on message (namespace, sender_kind, sender, key) where key is not null;
create index message_unread on message (namespace, owner, number) where acknowledged_at is null;
create index message_expiring on message (expires_at);

-- Whether anybody is there to hear a message.
create index agent_named on agent (namespace, name) where left_at is null;
