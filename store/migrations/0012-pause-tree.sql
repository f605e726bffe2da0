-- Paused because the run whose task waits for it was, and resumed with that one.
alter table run add column paused_with_parent boolean not null default false;
