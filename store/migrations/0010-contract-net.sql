-- Contract net: a task is announced to agents, each of which is one row of the round, and the lowest bid wins it.
create table bid (
  task_id uuid not null references task (id) on delete cascade,
  round int not null,
  agent_id uuid not null,
  -- The attempt that the winner would make.
  attempt int not null,
  announced_at timestamptz not null,
  closes_at timestamptz not null,
  -- The round was awarded, with all its rows at once. A round that nobody won is replaced by the next.
  closed_at timestamptz,
  answered_at timestamptz,
  -- Null: declined, or not answered.
  amount float8,
  is_awarded boolean not null default false,
  primary key (task_id, round, agent_id),
  constraint bid_is_answered check (amount is null or answered_at is not null),
  constraint awarded_is_bid check (not is_awarded or (amount is not null and closed_at is not null))
);
create index bid_to_answer on bid (agent_id, closes_at) where answered_at is null;
create unique index one_award_a_round on bid (task_id, round) where is_awarded;

-- How long a round waits for bids; null: the default.
alter table allocation add column bid_window_ms int;
