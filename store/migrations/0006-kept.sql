-- A task that a retry or a fork has taken over as it was: the row of the run that did the work.
alter table task
  add column kept_from uuid,
  add constraint kept_is_settled check (kept_from is null or (status in ('completed', 'skipped') and attempt = 0));
