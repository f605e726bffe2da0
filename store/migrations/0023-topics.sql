-- Messages to a topic, to all agents, and those that a reply is expected to.

-- Whose inbox has what is said to a topic. It belongs to an agent's name, as its inbox does.
create table subscription (
  namespace text not null,
  topic text not null,
  name text not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (namespace, topic, name)
);
create index subscription_of on subscription (namespace, name, topic);

-- What was said once to many: their inboxes have rows that refer to it, so that its body is kept once. It is there even
-- when nobody heard it, so that its key is known.
create table post (
  namespace text not null,
  id uuid primary key,
  sender_kind text not null,
  sender text not null,
  key text,
  -- Null: to all.
  topic text,
  body json not null,
  recipients int not null,
  missed int not null,
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null
);
create unique index post_key on post (namespace, sender_kind, sender, key) where key is not null;
create index post_expiring on post (expires_at);

alter table message
  add column post_id uuid,
  add column topic text,
  alter column body drop not null,
  add constraint body_once check ((body is null) = (post_id is not null)),
  -- One message may be in many inboxes.
  drop constraint message_id_key,
  drop constraint message_sender_kind_check,
  -- `system`: the orchestrator, such as when no reply came in time.
  add constraint message_sender_kind_check check (sender_kind in ('agent', 'client', 'system'));
create unique index message_id on message (id, namespace, owner);

-- Messages that a reply is awaited to.
create table awaited_reply (
  id uuid primary key,
  namespace text not null,
  -- Whose inbox the reply comes to.
  asker text not null,
  -- Who was asked, as the asker said it.
  asked json not null,
  conversation text,
  deadline timestamptz not null,
  -- The first message that replied, or that said that none did. Written by whoever holds the asker's row of agent_data.
  reply_id uuid
);
create index awaited_reply_due on awaited_reply (deadline) where reply_id is null;
create index awaited_reply_answered on awaited_reply (deadline) where reply_id is not null;
