-- A paused run: its ready tasks are held, which takes them out of what dispatch and claims look through.
alter table run add column paused_by text;
alter table task add column held boolean not null default false;
alter table task add constraint held_is_ready check (not held or (status = 'ready' and dispatched_at is null));
drop index task_ready;
create index task_ready on task (namespace, capability, priority desc, available_at, id)
  where status = 'ready' and dispatched_at is null and not held;
create index task_held on task (run_id, id) where held;
