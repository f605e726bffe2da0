-- What agents share, watch, and keep for a while: the blackboard, the registry's events, working state.

-- A scope of shared memory. Whoever writes into it holds its row, so that its revisions are in the order of commits.
create table memory_scope (
  namespace text not null,
  scope text not null,
  -- Of its last change; revisions count changes of the whole scope.
  last_revision bigint not null default 0,
  -- Removals up to this one are forgotten: who has seen less has to read anew.
  forgotten_revision bigint not null default 0,
  primary key (namespace, scope)
);

create table shared_memory (
  namespace text not null,
  scope text not null,
  key text not null,
  -- Null: it was removed. The row stays for a while, so that watchers are told.
  value json,
  revision bigint not null,
  updated_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz,
  writer_kind text not null check (writer_kind in ('agent', 'client', 'system')),
  writer text not null,
  -- Of the writer's choice, so that a write whose answer was lost can be repeated.
  write_id uuid,
  primary key (namespace, scope, key)
);
create unique index shared_memory_revision on shared_memory (namespace, scope, revision);
create index shared_memory_expiring on shared_memory (expires_at) where expires_at is not null;
create index shared_memory_removed on shared_memory (updated_at) where value is null;

-- Who came, left, was lost and came back, numbered within a namespace in the order of commits.
create table registry (
  namespace text primary key,
  last_number bigint not null default 0,
  forgotten_number bigint not null default 0
);
create table registry_event (
  namespace text not null,
  number bigint not null,
  type text not null check (type in ('registered', 'left', 'lost', 'returned')),
  agent_id uuid not null,
  name text not null,
  at timestamptz not null default clock_timestamp(),
  primary key (namespace, number)
);
create index registry_event_old on registry_event (at);

-- Set once it has been told that nothing is heard of the agent, until something is.
alter table agent add column lost_at timestamptz;

-- What agents keep for a while, where there is no Redis. What has run out is a row without a document until it is pruned.
create table working_state (
  namespace text not null,
  name text not null,
  document json,
  revision bigint not null,
  updated_at timestamptz not null,
  expires_at timestamptz not null,
  write_id uuid,
  primary key (namespace, name)
);
create index working_state_expiring on working_state (expires_at);
