-- Runs are searched by their labels, and by when and how they finished.

-- One row a label, in the order of runs. A trigger writes it, so that runs of older binaries are found, too; it does nothing
-- for runs without labels.
create table run_label (
  namespace text not null,
  key text not null,
  value text not null,
  run_id uuid not null references run (id) on delete cascade,
  primary key (namespace, key, value, run_id)
);
create index run_label_of on run_label (run_id);
create function label_run() returns trigger language plpgsql as $$
begin
  insert into run_label (namespace, key, value, run_id)
  select new.namespace, l.key, l.value, new.id from jsonb_each_text(new.labels) l;
  return null;
end $$;
create trigger run_labelled after insert on run for each row when (new.labels <> '{}') execute function label_run();
insert into run_label (namespace, key, value, run_id)
select r.namespace, l.key, l.value, r.id from run r cross join lateral jsonb_each_text(r.labels) l;

create index run_finished on run (namespace, finished_at) where finished_at is not null;
-- What one looks for is rare; most runs are completed, and are not in it.
create index run_unusual on run (namespace, status, id) where status in ('failed', 'cancelled', 'paused');
create index run_retried_from on run (retried_from) where retried_from is not null;
