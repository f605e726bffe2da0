-- Contracts of what agents have reported to give, by content: an agent is judged by what it registered itself.
create table output_schema (
  namespace text not null default 'default',
  hash text not null,
  body json not null,
  primary key (namespace, hash)
);
-- Hash of the output schema by capability, for those that have one.
alter table agent add column output_schemas json not null default '{}';

-- Reports of attempts by agents that did not hold them, each of which has been told once.
create table stale_report (
  task_id uuid not null references task (id) on delete cascade,
  attempt int not null,
  agent_id uuid not null,
  primary key (task_id, attempt, agent_id)
);

-- When it last asked for work, and when it last said that it consumes its queues.
alter table agent add column last_claim_at timestamptz;
alter table agent add column consuming_at timestamptz;
-- Since when it is there and yet takes no work.
alter table agent add column stalled_at timestamptz;
-- Attempts that it reported as failed, and the last of them.
alter table agent add column error_count int not null default 0;
alter table agent add column last_error json;
alter table agent add column last_error_at timestamptz;

-- By agent, too: what an agent holds is counted whenever it has not claimed for a while.
drop index task_running;
create index task_running on task (agent_id, id) where status = 'running';
