-- Finished runs that are past a short age move from the hot tables to history: the run in a row of its own, with all that a
-- listing shows, and the rows of its tasks, events and so on as JSON, some thousand to a part. Partitions are by the week
-- in which a run is to be forgotten, whatever its namespace and status, so forgetting is dropping tables.

create table retention (
  namespace text primary key,
  -- Null: nothing moves.
  move_after_ms bigint check (move_after_ms > 0),
  -- How long runs are kept after they have finished, by status: { completed, failed, cancelled } in ms. One that is missing: for ever.
  keep_ms jsonb not null default '{}',
  updated_at timestamptz not null default clock_timestamp(),
  -- What lies in history has still to be brought in line with it.
  is_unfiled boolean not null default false
);
create index retention_unfiled on retention (namespace) where is_unfiled;

create table run_history (
  namespace text not null,
  id uuid not null,
  workflow_name text not null,
  status text not null,
  created_at timestamptz not null,
  finished_at timestamptz not null,
  retried_from uuid,
  schedule text,
  -- From then on it is not found any more; `infinity`: it is kept for ever.
  expires_at timestamptz not null,
  task_count int not null,
  -- Tasks by status.
  counts json,
  -- The last of its events.
  last_xid xid8,
  -- Large contents that it, its tasks or its artifacts refer to: they are kept as long.
  blobs bytea[],
  -- Of its parts, as text.
  bytes bigint not null default 0,
  -- The row of `run`.
  run json not null,
  primary key (id, expires_at)
) partition by range (expires_at);
create index run_history_listing on run_history (namespace, id);
create index run_history_by_workflow on run_history (namespace, workflow_name, id);
create index run_history_by_status on run_history (namespace, status, id);
create index run_history_of_schedule on run_history (namespace, schedule, id) where schedule is not null;
create index run_history_blobs on run_history using gin (blobs) where blobs is not null;
create index run_history_finished on run_history (namespace, finished_at);

-- The rows that a run has in one table.
create table run_history_part (
  run_id uuid not null,
  expires_at timestamptz not null,
  noun text not null,
  part int not null,
  rows json not null,
  primary key (run_id, expires_at, noun, part)
) partition by range (expires_at);

create table run_history_label (
  namespace text not null,
  key text not null,
  value text not null,
  run_id uuid not null,
  expires_at timestamptz not null,
  primary key (namespace, key, value, run_id, expires_at)
) partition by range (expires_at);
create index run_history_label_of on run_history_label (run_id);

-- What is kept for ever. The partitions of the weeks are made as they are needed (store/history.ts).
create table run_history_for_ever partition of run_history for values from ('infinity') to (maxvalue);
create table run_history_part_for_ever partition of run_history_part for values from ('infinity') to (maxvalue);
create table run_history_label_for_ever partition of run_history_label for values from ('infinity') to (maxvalue);

-- Set when somebody asked for it and it was brought back: it stays for a while.
alter table run add column recalled_at timestamptz;
-- A run that goes takes its signals along.
create index signal_of_run on signal (run_id);

-- What a row of a table begins with. A row in history has the columns of its time; those that came later have their defaults.
create function row_defaults(of regclass) returns json language plpgsql stable as $$
declare
  pairs text;
  found json;
begin
  select string_agg(quote_literal(a.attname) || ', ' || pg_get_expr(d.adbin, d.adrelid), ', ')
  into pairs
  from pg_attribute a join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  where a.attrelid = of and a.attnotnull and a.attgenerated = '' and not a.attisdropped;
  execute 'select json_build_object(' || coalesce(pairs, '') || ')' into found;
  return found;
end $$;
