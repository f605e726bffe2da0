-- Dead letters are failed tasks that an agent was at; nothing of them is stored twice. What became of one, once somebody has looked:
-- { state: redriven | discarded, by, at, run_id, reason }.
alter table task add column letter json;
create index task_dead on task (namespace, finished_at desc, id desc)
  where status = 'failed' and attempt > 0 and superseded_in is null and letter is null;
create index task_dead_settled on task (namespace, finished_at desc, id desc)
  where status = 'failed' and attempt > 0 and superseded_in is null and letter is not null;
