-- Whether every dependant is plain: then a completion needs no decision, and one statement does all that follows from it.
-- Rows from before cannot be known to, and take the longer way.
alter table task add column tells_plain boolean not null default false;
