-- What planners read of a capability: the semantic types of its fields, and what to expect of a task.
alter table capability add column consumes json;
alter table capability add column produces json;
alter table capability add column cost float8;
alter table capability add column duration_ms float8;
alter table capability add column reliability float8;

-- Plans that were made for goals, and what became of them.
create table plan (
  namespace text not null default 'default',
  id uuid primary key,
  planner text not null,
  goal json not null,
  workflow json not null,
  -- Why the plan is as it is, and what it should come to.
  explanation json not null,
  -- What the run is to be submitted with: inputs, labels, priority.
  submission json not null default '{}',
  status text not null default 'proposed' check (status in ('proposed', 'accepted', 'rejected')),
  decided_by text,
  decided_at timestamptz,
  reason text,
  -- The run of an accepted plan, once it has been submitted.
  run_id uuid,
  created_at timestamptz not null default clock_timestamp(),
  check ((status = 'proposed') = (decided_at is null)),
  check (run_id is null or status = 'accepted')
);
create index plan_unused on plan (created_at) where status <> 'accepted';
