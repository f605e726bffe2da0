-- Schedules can be changed: how often one was, so that nobody overwrites what they have not read, and by whom. What its runs may use is
-- what the key of that one allows.
alter table schedule add column revision integer not null default 1;
alter table schedule add column updated_by text;
alter table schedule add column updated_at timestamptz;
