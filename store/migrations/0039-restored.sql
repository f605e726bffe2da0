-- Events are in the order of transaction ids, and those are a server's own: restored on another one, a database would go on with
-- ids that have been before, and read nothing of what it wrote until then. So whoever opens a database looks where it is
-- (store/restored.ts), and in a copy adds to the ids whatever keeps them going on.
create table skein_origin (
  is_only boolean primary key default true check (is_only),
  -- Of the server and the database in which the events were written.
  identity text not null
);
-- Events below are those of transactions that have ended. Replaced in a copy, as the defaults of `xid` are.
create function event_horizon() returns xid8 language sql stable as 'select pg_snapshot_xmin(pg_current_snapshot())';

-- A migration may say which one a binary has to know to live with its schema.
alter table skein_migration add column needs text;
