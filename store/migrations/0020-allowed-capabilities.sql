-- What runs that are submitted with a key may use; null: everything. A run keeps it, for what it grows by.
alter table api_key add column capabilities text[];
alter table run add column allowed_capabilities text[];
