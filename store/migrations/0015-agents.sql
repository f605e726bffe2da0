-- Contracts of what agents have reported to give, by content: an agent is judged by what it registered itself.
create table output_schema (
  namespace text not null default 'default',
  hash text not null,
  body json not null,
  primary key (namespace, hash)
);
-- Hash of the output schema by capability, for those that have one.
alter table agent add column output_schemas json not null default '{}';
