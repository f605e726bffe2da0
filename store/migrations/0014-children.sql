-- A map, loop or workflow that has settled leaves what it had begun to be cancelled. Marked apart from what a join with
-- `cancel_rest` does not want, which is asked once: when the joined task starts, not again when it settles.
alter table task add column drops_children boolean not null default false;
update task set drops_children = true, cancels_rest = false
where cancels_rest and finished_at is not null and spec -> 'engine' is not null;
drop index task_cancels_rest;
create index task_cancels_rest on task (run_id, id) where cancels_rest or drops_children;
