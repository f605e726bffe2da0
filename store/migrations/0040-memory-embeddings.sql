-- Memory by meaning: the vector of an entry, of 32-bit floats, and the model that made it. Written when somebody first looks for
-- something like it; without a model configured, never.
alter table agent_memory add column embedding bytea, add column embedded_by text;
