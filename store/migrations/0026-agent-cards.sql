-- What an agent says of itself, such as an A2A agent card; nothing is made of it.
alter table agent add column card json;
