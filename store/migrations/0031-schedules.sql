-- Workflows that are run at the times of a calendar. The row is the lock of whoever decides its ticks.
create table schedule (
  namespace text not null,
  name text not null,
  -- As it was given, checked (core/protocol/schedules.ts).
  spec json not null,
  -- As in its spec, for the look at what waits.
  overlap text not null check (overlap in ('allow', 'skip', 'queue', 'cancel_running')),
  -- What its runs may use; null: everything.
  allowed_capabilities text[],
  -- The tick that is decided next, and when: later by its jitter. Null: it is paused, or has no ticks any more.
  next_tick_at timestamptz,
  due_at timestamptz,
  paused_by text,
  pause_reason text,
  created_by text not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (namespace, name),
  constraint due_is_next check ((due_at is null) = (next_tick_at is null)),
  constraint paused_is_not_due check (paused_by is null or due_at is null)
);
create index schedule_due on schedule (due_at) where due_at is not null;

-- What became of each tick. That there is one row for a tick is what makes it fire once.
create table schedule_tick (
  namespace text not null,
  schedule text not null,
  tick_at timestamptz not null,
  outcome text not null check (outcome in ('fired', 'queued', 'skipped', 'missed', 'refused')),
  -- Of what was missed: the last of the ticks that the row stands for.
  until_at timestamptz,
  is_backfill boolean not null default false,
  run_id uuid,
  error json,
  decided_at timestamptz not null default clock_timestamp(),
  primary key (namespace, schedule, tick_at),
  foreign key (namespace, schedule) references schedule (namespace, name) on delete cascade,
  constraint fired_has_run check ((outcome = 'fired') = (run_id is not null)),
  constraint refused_has_error check ((outcome = 'refused') = (error is not null)),
  constraint missed_has_end check ((outcome = 'missed') = (until_at is not null))
);
create index schedule_tick_queued on schedule_tick (namespace, schedule, is_backfill, tick_at) where outcome = 'queued';
create index schedule_tick_old on schedule_tick (decided_at) where outcome <> 'queued';

-- The schedule and the tick that a run, or the first of a chain of retries, was started by.
alter table run add column schedule text;
alter table run add column tick_at timestamptz;
create index run_of_schedule on run (namespace, schedule, id desc) where schedule is not null;
create index run_of_schedule_open on run (namespace, schedule) where schedule is not null and finished_at is null;
