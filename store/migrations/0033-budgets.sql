-- Budgets of runs and tasks. What attempts have set aside is counted from the rows of what runs, so no crash can leak any;
-- what they have spent is entered by the transaction of their report.
create table budget (
  -- That of the run or task it belongs to.
  id uuid primary key,
  run_id uuid not null references run (id) on delete cascade,
  -- The budgets that what is spent counts for: the outermost first, this one last. The row of the first is the lock of all.
  path uuid[] not null,
  -- Whole amounts, money in millionths; null: not limited.
  tokens_limit bigint check (tokens_limit > 0),
  cost_limit bigint check (cost_limit > 0),
  calls_limit bigint check (calls_limit > 0),
  tokens_spent bigint not null default 0 check (tokens_spent >= 0),
  cost_spent bigint not null default 0 check (cost_spent >= 0),
  calls_spent bigint not null default 0 check (calls_spent >= 0),
  -- When the wall time is over.
  ends_at timestamptz,
  on_exhausted text not null check (on_exhausted in ('fail', 'wait', 'cheaper')),
  -- What did not fit (core/budget.ts), until the budget is changed.
  shortage json,
  -- What was left when it was last looked at for what waits; null: look again.
  left_seen text,
  -- When somebody has to do something about it.
  due_at timestamptz,
  check (path[cardinality(path)] = id)
);
create index budget_of_run on budget (run_id);
create index budget_due on budget (due_at) where due_at is not null;

-- What was spent, an attempt a row: of all that reported their usage, and of all that count for a budget.
create table spend (
  namespace text not null default 'default',
  run_id uuid not null,
  workflow_name text not null,
  task_id uuid not null,
  attempt int not null,
  agent_name text not null,
  capability text not null,
  tokens bigint not null,
  cost bigint not null,
  calls bigint not null,
  at timestamptz not null default clock_timestamp(),
  primary key (task_id, attempt)
);
create index spend_by_time on spend (namespace, at);
create index spend_of_run on spend (run_id);

-- The budget that what the run or the task spends counts for: its own, or the nearest around it.
alter table run add column budget_id uuid;
alter table task
  add column budget_id uuid,
  -- The outermost one.
  add column budget_root uuid,
  -- What the running attempt has set aside, or what a ready task would need; null: unknown.
  add column tokens_reserved bigint,
  add column cost_reserved bigint,
  add column calls_reserved bigint,
  -- The budget that a ready task does not fit into; it is held until it may.
  add column short_of uuid;
alter table task
  add constraint budget_has_root check ((budget_id is null) = (budget_root is null)),
  add constraint running_has_reserved check (status <> 'running' or budget_id is null or calls_reserved is not null),
  add constraint short_is_held check (short_of is null or held);
create index task_spending on task (budget_root) where status = 'running' and budget_root is not null;
create index task_short on task (short_of, priority desc, id) where short_of is not null;

-- What an attempt of the capability needs, as declared.
alter table capability add column tokens float8, add column calls float8;
