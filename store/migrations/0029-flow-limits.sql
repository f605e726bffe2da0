-- How much may happen at once, and how often, by keys that tasks and runs name. A key is held by what runs and is counted
-- from there, so no crash can leak a place. The row of a key is the lock under which that is counted.
create table flow_limit (
  namespace text not null default 'default',
  key text collate "C" not null,
  -- What the namespace has set, in place of what definitions say; null: nothing.
  concurrency int check (concurrency > 0),
  rate_limit int check (rate_limit > 0),
  rate_per_ms bigint check (rate_per_ms > 0),
  updated_at timestamptz not null default clock_timestamp(),
  -- The time that the rate has been used up to (core/flow-limits.ts).
  used_until timestamptz,
  primary key (namespace, key),
  constraint rate_is_whole check ((rate_limit is null) = (rate_per_ms is null))
);

-- Tasks with keys are taken out of what the fast statements pick from.
alter table task
  add column is_limited boolean not null default false,
  -- The keys of its limits, in the order of its spec; null until they are known.
  add column limit_keys text[],
  -- What happens when it would have to wait for them; null: it waits.
  add column on_conflict text check (on_conflict in ('cancel_running', 'cancel_new'));
alter table task
  add constraint limited_has_keys check (not is_limited or limit_keys is not null or status not in ('ready', 'running'));
drop index task_ready;
create index task_ready on task (namespace, capability, priority desc, coalesce(turn, available_at), id)
  where status = 'ready' and dispatched_at is null and not held and not is_routed and not is_limited;
create index task_limited on task (namespace, capability, limit_keys, priority desc, coalesce(turn, available_at), id)
  where status = 'ready' and is_limited and not held and not is_routed;
create index task_holding on task (namespace, id) where status = 'running' and is_limited;
create index task_may_conflict on task (namespace, limit_keys) where status = 'ready' and on_conflict is not null and not held;
-- Limited tasks whose hint is out.
create index task_limited_out on task (namespace, id) where status = 'ready' and is_limited and dispatched_at is not null;
