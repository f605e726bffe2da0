-- Conversations that are over are forgotten in time, where the policy of their namespace says so (`keep_ms.conversations`).
create index conversation_ended on conversation (namespace, ended_at) where ended_at is not null;
