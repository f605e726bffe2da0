-- Large payloads (core/payload.ts) and large artifacts: each content once, whoever refers to it.
create table blob (
  hash bytea primary key,
  size int not null,
  -- Null: it is in the object store, once `is_stored`.
  content bytea,
  is_stored boolean not null,
  -- When it was last written, or referred to by a copy: collected only long after.
  touched_at timestamptz not null default clock_timestamp(),
  constraint content_is_stored check (content is null or is_stored)
);
create index blob_touched on blob (touched_at);

-- Holes by column, such as { "output": [["", "<hash>", 200000]] }, and the hashes in them.
alter table task add column refs jsonb;
alter table task add column blobs bytea[];
alter table task add constraint blobs_are_of_refs check ((refs is null) = (blobs is null));
create index task_blobs on task using gin (blobs) where blobs is not null;
alter table run add column refs jsonb;
alter table run add column blobs bytea[];
alter table run add constraint blobs_are_of_refs check ((refs is null) = (blobs is null));
create index run_blobs on run using gin (blobs) where blobs is not null;
alter table cached_output add column refs jsonb;
alter table cached_output add column blobs bytea[];
create index cached_output_blobs on cached_output using gin (blobs) where blobs is not null;

-- Null: its content is the blob of its hash.
alter table artifact alter column content drop not null;
create index artifact_blob on artifact (sha256) where content is null;
