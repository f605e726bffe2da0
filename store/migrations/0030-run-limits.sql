-- Runs that keep to limits: until one may start, none of its tasks is.
alter table run
  -- As of a task's spec, with the keys as texts.
  add column limits json,
  add column limit_keys text[],
  add column on_conflict text check (on_conflict in ('queue', 'cancel_running', 'cancel_new')),
  add column awaits_start boolean not null default false;
alter table run
  add constraint limited_run_has_keys check ((limits is null) = (limit_keys is null) and (limits is null) = (on_conflict is null)),
  add constraint awaiting_is_limited check (not awaits_start or limits is not null);
create index run_awaiting on run (namespace, limit_keys, priority desc, id)
  where awaits_start and status = 'pending' and finished_at is null;
create index run_holding on run (namespace, id) where limit_keys is not null and not awaits_start and finished_at is null;
