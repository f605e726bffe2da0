-- Keys that stand for all tasks of a namespace or of a capability (core/wide-keys.ts), and pauses of any key.
alter table flow_limit
  -- Who lets nothing more start under the key, since when and why; null: nobody.
  add column paused_by text,
  add column paused_at timestamptz,
  add column pause_reason text,
  -- The end of the last pause: `schedule_timeout` begins anew.
  add column resumed_at timestamptz,
  -- Of a key that stands for many tasks: whether they have it among theirs. Null: no task has it.
  add column marking text check (marking in ('adding', 'added', 'removing')),
  -- The transaction that `marking` was last begun by.
  add column marked_in xid8,
  add constraint pause_has_author check ((paused_at is null) = (paused_by is null)),
  add constraint marking_is_of_one check (marking is null or marked_in is not null);
create index flow_limit_wide on flow_limit (namespace, key) where marking is not null;
