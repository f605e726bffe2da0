-- What an attempt has spent is kept as long as its run; then it goes into the sums of its day, which are kept.
create table spend_day (
  namespace text not null,
  -- In UTC.
  day date not null,
  workflow_name text not null,
  agent_name text not null,
  capability text not null,
  attempts bigint not null,
  tokens bigint not null,
  cost bigint not null,
  calls bigint not null,
  primary key (namespace, day, workflow_name, agent_name, capability)
);
-- When its run is forgotten; null: the run is not in history.
alter table spend add column expires_at timestamptz;
create index spend_expiry on spend (expires_at) where expires_at is not null;
update spend s set expires_at = h.expires_at from run_history h where h.id = s.run_id;
update spend s set expires_at = clock_timestamp()
where s.expires_at is null and not exists (select from run r where r.id = s.run_id);

-- A run of many tasks is on its way to history (`out`) or back (`in`), in many transactions: each of its rows is in one of the two places.
alter table run add column moving text check (moving in ('out', 'in'));
create index run_moving on run (id) where moving is not null;
