-- Plans that were accepted are examples for planners that learn from them.
create index plan_accepted on plan (namespace, decided_at desc) where status = 'accepted';
