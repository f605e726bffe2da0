-- Runs of plans that are planned anew when a task of theirs fails. The row is also the lock of whoever does that.
create table replanning (
  run_id uuid primary key references run (id) on delete cascade,
  -- The plan that it is a run of: its goal is what is planned for.
  plan_id uuid not null,
  -- How often it may be planned anew, and how often it has been.
  rounds int not null check (rounds > 0),
  round int not null default 0 check (round between 0 and rounds),
  -- idle: nothing is wrong, or nobody has seen it yet. planning: round is under way. over: nothing more is planned.
  state text not null default 'idle' check (state in ('idle', 'planning', 'over')),
  -- Names of capabilities that were found wanting.
  excluded text[] not null default '{}',
  -- Why there is no other plan, as a failure.
  gave_up json,
  -- Until then it is left to whoever has begun, or alone.
  not_before timestamptz not null default '-infinity'
);
create index replanning_open on replanning (run_id) where state <> 'over';

-- The round of planning that put others in its place; null: it stands.
alter table task add column superseded_in int;
