-- Fair sharing: the place of a ready task among those of its priority, and whose turn it takes.
alter table run
  -- As the workflow says it; null: the run has a share of its own, or that of the run that began it.
  add column fair_key text,
  -- The key as tasks have it; null: the run's id.
  add column fair_id uuid;
alter table task
  -- A virtual time (store/admission.ts); null: `available_at`.
  add column turn timestamptz,
  -- Of its run.
  add column fair_id uuid;
drop index task_ready;
create index task_ready on task (namespace, capability, priority desc, coalesce(turn, available_at), id)
  where status = 'ready' and dispatched_at is null and not held and not is_routed;
drop index task_dispatched;
create index task_dispatched on task (namespace, capability, priority desc, coalesce(turn, available_at), id)
  where status = 'ready' and dispatched_at is not null and not is_routed;
create index task_turn on task (coalesce(fair_id, run_id), capability, priority, turn)
  where status = 'ready' and turn is not null;
-- Retries with a delay, which have to be given a turn when it is over.
create index task_returned on task (available_at)
  where status = 'ready' and dispatched_at is null and not held and not is_routed and turn is null and attempt > 0;
