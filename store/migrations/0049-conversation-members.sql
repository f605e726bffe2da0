-- Whose conversations they are: a member's list no longer looks through all of the namespace.
create index if not exists conversation_members on conversation using gin ((parameters::jsonb -> 'members'));
