-- The files of a run, which go with it.
create table artifact (
  run_id uuid not null references run (id) on delete cascade,
  path text collate "C" not null,
  content_type text not null,
  sha256 bytea not null,
  size int not null,
  content bytea not null,
  -- The attempt that wrote it; null: somebody outside of the run.
  task_id uuid,
  attempt int,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  primary key (run_id, path),
  constraint written_by_an_attempt check ((task_id is null) = (attempt is null))
);
