-- Joins beyond "all needs completed" ask how the needs settled; a cancelled one counts as failed. Until now whatever was not
-- completed made a task impossible, so a row that still waits has counted none.
alter table task rename column needs_unmet to needs_failed;
alter table task add column needs_skipped int not null default 0 check (needs_skipped >= 0);
-- Other joins may start a task while needs are open.
alter table task drop constraint started_after_needs;
alter table task add constraint started_after_needs check (
  needs_left = 0 or not is_plain or status in ('pending', 'skipped', 'cancelled', 'failed')
);
-- Started by a join with cancel_rest, whose other needs have still to be cancelled: a cursor, like `untold`.
alter table task add column cancels_rest boolean not null default false;
create index task_cancels_rest on task (run_id, id) where cancels_rest;
