-- What undoes a completed task of a run that ends badly: tasks as any, but they outlive the ending of their run.
alter table task add column compensates uuid;
alter table run add column compensated boolean not null default false;
