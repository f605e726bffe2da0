-- The turns that a key has taken are found by the last of each batch: an index of all of them cost a wide run 5 % more.
alter table task add column ends_turns boolean not null default false;
drop index task_turn;
create index task_turn on task (coalesce(fair_id, run_id), capability, priority, turn)
  where status = 'ready' and ends_turns;
