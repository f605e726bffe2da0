-- Bodies of messages that are large (core/payload.ts) stand apart, each content once. An orchestrator of an older version reads
-- such a message without its body: send large ones when all are new.
alter table message
  -- Of the content, and its size.
  add column body_hash bytea,
  add column body_bytes int,
  drop constraint body_once,
  add constraint body_once check (num_nonnulls(body, post_id, body_hash) = 1) not valid,
  add constraint body_has_size check ((body_hash is null) = (body_bytes is null)) not valid;
alter table post
  add column body_hash bytea,
  add column body_bytes int,
  alter column body drop not null,
  add constraint body_once check (num_nonnulls(body, body_hash) = 1) not valid,
  add constraint body_has_size check ((body_hash is null) = (body_bytes is null)) not valid;
create index message_blob on message (body_hash) where body_hash is not null;
create index post_blob on post (body_hash) where body_hash is not null;
