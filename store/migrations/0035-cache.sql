-- Outputs that answer for equal tasks (core/cache.ts), copied, so that they outlive the run they came from.
create table cached_output (
  namespace text not null default 'default',
  capability text not null,
  version text not null,
  key bytea not null,
  output json not null,
  run_id uuid not null,
  task_id uuid not null,
  task_key text not null,
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null,
  primary key (namespace, capability, version, key)
);
create index cached_output_expiry on cached_output (expires_at);
create index cached_output_of_run on cached_output (run_id);
-- What the cache knows the output of the task by, and whose output the task took: { run_id, task_id, key }.
alter table task add column cache_key bytea;
alter table task add column cached_from json;
-- Hits, to be counted.
create index task_cached on task (namespace, capability) where cached_from is not null;
