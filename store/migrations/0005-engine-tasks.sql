-- Tasks that the engine does itself, and tasks that come into being while their run goes on.
alter table task
  -- For `cancel` and for pictures.
  add column group_name text,
  -- The map or loop this is a part of.
  add column parent_id uuid references task (id) on delete cascade,
  -- Before its key: what the names in its expressions are looked up with, from the inside out.
  add column scope text not null default '',
  -- Its place among its siblings: the item of a map, the iteration of a loop.
  add column ordinal int,
  add column item json,
  -- Given by whoever emitted the item; unique in its map.
  add column item_key text,
  -- Of a map or loop: how its children stand.
  add column tally json,
  -- Waiting, and the engine has to look at it: now, or at this time.
  add column step_due boolean not null default false,
  add column wake_at timestamptz,
  -- Names of the signals that could end the wait, and what a person decided.
  add column awaits text[],
  add column decision json,
  -- Settled, but its map or loop has not been told.
  add column parent_untold boolean not null default false;
alter table task drop constraint untold_is_settled;
alter table task
  add constraint untold_is_settled check (not untold or status in ('completed', 'failed', 'skipped', 'cancelled')),
  add constraint parent_untold_is_settled check (
    not parent_untold or (parent_id is not null and status in ('completed', 'failed', 'skipped', 'cancelled'))
  ),
  add constraint only_waiting_is_stepped check (status = 'waiting' or (not step_due and wake_at is null));
create index task_step_due on task (run_id, id) where step_due;
create index task_wake on task (wake_at) where wake_at is not null;
create index task_parent_untold on task (run_id, id) where parent_untold;
create index task_children on task (parent_id, ordinal) where parent_id is not null;
-- What a map with `max_concurrency` looks for.
create index task_children_pending on task (parent_id, ordinal) where parent_id is not null and status = 'pending';
create index task_children_active on task (parent_id) where parent_id is not null and status in ('ready', 'running', 'waiting');
create unique index task_item_key on task (parent_id, item_key) where item_key is not null;

alter table run
  -- The task of another run that waits for this one, or only began it.
  add column parent_task_id uuid,
  add column is_detached boolean not null default false,
  add column depth int not null default 0,
  -- Finished, but the task that waits for it has not been told.
  add column parent_untold boolean not null default false;
create unique index run_of_task on run (parent_task_id) where parent_task_id is not null;
create index run_parent_untold on run (id) where parent_untold;

-- Kept until a task takes it, or its run ends.
create table signal (
  namespace text not null default 'default',
  id uuid primary key,
  run_id uuid not null references run (id) on delete cascade,
  name text not null,
  payload json,
  sent_at timestamptz not null default clock_timestamp(),
  taken_by uuid
);
create index signal_untaken on signal (run_id, name, id) where taken_by is null;
