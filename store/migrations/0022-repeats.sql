-- Of spawned tasks whose input is known: a hash of capability and input (core/repeats.ts), to see work that is repeated.
alter table task add column work_hash bigint;
create index task_work on task (run_id, work_hash) where work_hash is not null;
