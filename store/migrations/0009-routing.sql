-- Tasks that one shared queue is too wide for: matched to an agent one by one.
alter table task add column is_routed boolean not null default false;
-- The agent whose hint is out; means something only while the task is ready and dispatched.
alter table task add column assigned_to uuid;
-- When an agent that could run it was last there, though it had no slot free.
alter table task add column routable_at timestamptz;
drop index task_ready;
create index task_ready on task (namespace, capability, priority desc, available_at, id)
  where status = 'ready' and dispatched_at is null and not held and not is_routed;
drop index task_dispatched;
create index task_dispatched on task (namespace, capability, dispatched_at)
  where status = 'ready' and dispatched_at is not null and not is_routed;
create index task_to_route on task (priority desc, id)
  where status = 'ready' and is_routed and dispatched_at is null and not held;
create index task_assigned on task (assigned_to) where status = 'ready' and is_routed and dispatched_at is not null;

-- Each capability with its version and cost hint; `capabilities` has the names alone.
alter table agent add column offers json not null default '[]';
alter table agent add column cordoned_at timestamptz;
alter table agent add column is_draining boolean not null default false;

create table allocation (
  namespace text not null default 'default',
  capability text not null,
  policy text not null,
  primary key (namespace, capability)
);
comment on table allocation is 'How agents are chosen for the tasks of a capability; without a row, by the shared queue.';
