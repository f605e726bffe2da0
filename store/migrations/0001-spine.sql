-- The spine: workflows, runs, tasks with their leases, events, agents, keys. PostgreSQL 15 features only.
-- Payloads are json, not jsonb: kept as they came, in their order, and nothing ever looks inside them.

create table definition (
  namespace text not null default 'default',
  hash text not null,
  body json not null,
  created_at timestamptz not null default now(),
  primary key (namespace, hash)
);
comment on table definition is 'Workflow definitions by content hash, inline ones too, so that a run pins exactly what it ran.';

create table workflow (
  namespace text not null default 'default',
  name text not null,
  version int not null check (version >= 1),
  hash text not null,
  created_at timestamptz not null default now(),
  primary key (namespace, name, version),
  foreign key (namespace, hash) references definition (namespace, hash)
);
create index workflow_by_hash on workflow (namespace, name, hash);

create table run (
  namespace text not null default 'default',
  id uuid primary key,
  workflow_name text not null,
  workflow_version int,
  definition_hash text not null,
  status text not null default 'running'
    check (status in ('pending', 'running', 'paused', 'completed', 'failed', 'cancelled')),
  inputs json not null,
  outputs json,
  error json,
  -- Set while a cancel or a deadline is bringing the run down: { status, error }.
  ending json,
  labels jsonb not null default '{}',
  priority smallint not null default 0 check (priority between 0 and 9),
  -- Counts patches and spawns; not expansion, not status.
  revision int not null default 0,
  -- Place in the chain of retries, and the run before it.
  attempt int not null default 1,
  retried_from uuid,
  task_count int not null,
  traceparent text,
  created_at timestamptz not null default clock_timestamp(),
  started_at timestamptz default clock_timestamp(),
  finished_at timestamptz,
  deadline_at timestamptz,
  foreign key (namespace, definition_hash) references definition (namespace, hash),
  check ((finished_at is not null) = (status in ('completed', 'failed', 'cancelled'))),
  check (error is not null or status <> 'failed')
);
create index run_listing on run (namespace, id desc);
create index run_by_workflow on run (namespace, workflow_name, id desc);
create index run_open on run (id) where status in ('pending', 'running', 'paused');
create index run_ending on run (id) where ending is not null and finished_at is null;
create index run_with_deadline on run (deadline_at) where deadline_at is not null and finished_at is null;

create table idempotency (
  namespace text not null default 'default',
  key text not null,
  body_hash text not null,
  run_id uuid not null,
  created_at timestamptz not null default now(),
  primary key (namespace, key)
);

-- Edges are the `needs` and `dependants` arrays: ids are given in topological order, so whoever locks a task and then its
-- dependants, each by id, always locks upwards.
create table task (
  namespace text not null default 'default',
  id uuid primary key,
  run_id uuid not null references run (id) on delete cascade,
  key text not null,
  capability text not null,
  status text not null default 'pending'
    check (status in ('pending', 'ready', 'running', 'waiting', 'completed', 'failed', 'skipped', 'cancelled')),
  is_plain boolean not null,
  priority smallint not null default 0,
  needs uuid[] not null default '{}',
  dependants uuid[] not null default '{}',
  -- Needs that have not settled, and needs that settled otherwise than completed (as far as this row was told).
  needs_left int not null check (needs_left >= 0),
  needs_unmet int not null default 0 check (needs_unmet >= 0),
  -- Settled, but its dependants have not been told: the cursor of a cascade, which any replica goes on with.
  untold boolean not null default false,
  attempt int not null default 0 check (attempt >= 0),
  failures int not null default 0,
  lost_leases int not null default 0,
  lost_claims int not null default 0,
  lease_ms bigint not null,
  timeout_ms bigint not null,
  schedule_timeout_ms bigint not null,
  deadline_ms bigint,
  available_at timestamptz,
  ready_at timestamptz,
  deadline_at timestamptz,
  dispatched_at timestamptz,
  dispatch_count int not null default 0,
  agent_id uuid,
  -- SHA-256 of the token that fences the current (or last) attempt, cut to 16 bytes.
  lease_token bytea,
  lease_expires_at timestamptz,
  heartbeat_at timestamptz,
  started_at timestamptz,
  finished_at timestamptz,
  spec json not null,
  input json,
  progress json,
  usage json,
  output json,
  error json,
  reason text,
  unique (run_id, key),
  -- Impossible rows are impossible.
  constraint running_has_lease check (
    status <> 'running'
    or (lease_token is not null and lease_expires_at is not null and agent_id is not null and attempt >= 1)
  ),
  constraint only_running_expires check (lease_expires_at is null or status = 'running'),
  constraint settled_is_dated check (
    (finished_at is not null) = (status in ('completed', 'failed', 'skipped', 'cancelled'))
  ),
  constraint started_after_needs check (needs_left = 0 or status in ('pending', 'skipped', 'cancelled', 'failed')),
  constraint dispatched_is_ready check (dispatched_at is null or status = 'ready'),
  constraint ready_is_available check (status <> 'ready' or (available_at is not null and ready_at is not null)),
  constraint untold_is_settled check (not untold or status in ('failed', 'skipped', 'cancelled')),
  constraint failed_has_error check (status <> 'failed' or error is not null)
) with (fillfactor = 80);
-- What dispatch and claims pick from, in the order they pick.
create index task_ready on task (namespace, capability, priority desc, available_at, id)
  where status = 'ready' and dispatched_at is null;
create index task_dispatched on task (namespace, capability, dispatched_at) where status = 'ready' and dispatched_at is not null;
-- No index on lease_expires_at: heartbeats stay cheap, and only as many rows run as there are slots.
create index task_running on task (id) where status = 'running';
create index task_open on task (run_id) where status in ('pending', 'ready', 'running', 'waiting');
create index task_untold on task (run_id, id) where untold;
create index task_with_deadline on task (deadline_at) where deadline_at is not null and finished_at is null;

-- Attempts that ended while their task went on, or that failed it; the latest attempt of a task stands in its row.
create table attempt (
  task_id uuid not null references task (id) on delete cascade,
  attempt int not null,
  agent_id uuid,
  lease_token bytea,
  outcome text not null
    check (outcome in ('completed', 'failed', 'lease_expired', 'timed_out', 'released', 'cancelled')),
  error json,
  started_at timestamptz,
  ended_at timestamptz not null,
  primary key (task_id, attempt)
);

-- What handlers logged, in the transaction of the report that brought it.
create table task_log (
  run_id uuid not null references run (id) on delete cascade,
  xid xid8 not null default pg_current_xact_id(),
  task_id uuid not null,
  attempt int not null,
  lines json not null,
  primary key (run_id, xid, task_id)
);

-- One row per transaction and run. Readers take only what lies below the oldest running transaction, so a stream that
-- resumes from (xid) misses nothing and repeats nothing, and no counter makes the transactions of a run wait for another.
-- No foreign key: checking it would lock the run, and claims would do so after their tasks, against the lock order.
create table event (
  run_id uuid not null,
  xid xid8 not null default pg_current_xact_id(),
  at timestamptz not null default clock_timestamp(),
  facts json not null,
  primary key (run_id, xid)
);

create table agent (
  namespace text not null default 'default',
  id uuid primary key,
  name text not null,
  kind text not null check (kind in ('executor', 'external')),
  -- 'queue' agents consume hints from the broker; 'poll' agents claim by long-poll alone.
  door text not null check (door in ('queue', 'poll')),
  capabilities text[] not null,
  labels jsonb not null default '{}',
  slots int not null check (slots >= 0),
  version text,
  token_hash bytea not null,
  load json,
  registered_at timestamptz not null default now(),
  last_seen_at timestamptz not null default now(),
  left_at timestamptz
);
create index agent_listing on agent (namespace, id desc);
create index agent_present on agent (namespace) where left_at is null;
create unique index agent_by_token on agent (token_hash);

create table capability (
  namespace text not null default 'default',
  name text not null,
  version text not null default '1',
  description text,
  input_schema json,
  output_schema json,
  updated_at timestamptz not null default now(),
  primary key (namespace, name, version)
);

-- Requests that took leases, so that repeating one whose answer was lost takes the same leases again.
create table lease_request (
  agent_id uuid not null,
  request_id text not null,
  task_ids uuid[] not null,
  created_at timestamptz not null default now(),
  primary key (agent_id, request_id)
);

create table api_key (
  namespace text not null default 'default',
  id uuid primary key,
  name text not null,
  key_hash bytea not null unique,
  -- The first characters, to recognise a key by; never enough to use it.
  prefix text not null,
  scopes text[] not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  revoked_at timestamptz
);
create index api_key_listing on api_key (namespace, id desc);
