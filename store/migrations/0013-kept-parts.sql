-- What a retry keeps of a map or loop may have failed or been cancelled in it; that of the run itself never has.
alter table task drop constraint kept_is_settled;
alter table task
  add constraint kept_is_settled check (
    kept_from is null
    or (attempt = 0 and (status in ('completed', 'skipped') or (parent_id is not null and status in ('failed', 'cancelled'))))
  );
