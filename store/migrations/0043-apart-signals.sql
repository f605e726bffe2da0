-- What a signal brings can be large (core/payload.ts): then its content stands apart, as of a task.
alter table signal add column refs jsonb;
alter table signal add column blobs bytea[];
alter table signal add constraint blobs_are_of_refs check ((refs is null) = (blobs is null));
create index signal_blobs on signal using gin (blobs) where blobs is not null;
