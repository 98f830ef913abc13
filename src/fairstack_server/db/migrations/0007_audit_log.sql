-- Who changed access or money by hand, and when. Written in the transaction of the change, never changed after.
-- It holds ids, amounts, names and scopes; no key, no secret, no prompt.
create table audit_log (
    seq              bigint generated always as identity primary key,
    id               text not null unique,
    at               timestamptz not null default now(),
    action           text not null,
    source           text not null check (source in ('api', 'command', 'start')),
    by_account_id    text references accounts,         -- whose key it was; null for a command on the machine
    by_key_id        text references api_keys,
    by_name          text,                             -- for a command: the account of the system
    request_id       text,                             -- finds the request in the log of the server
    account_id       text references accounts,         -- whom it concerns; null for what is the operator's own
    subject          text not null,                    -- id or name of what was changed
    details          jsonb not null default '{}',
    check ((by_account_id is null) = (by_key_id is null))
);
create index audit_log_of_account on audit_log (account_id, seq);

create trigger audit_log_never_changes before update or delete on audit_log
    for each row execute function refuse_change();
create trigger audit_log_never_truncated before truncate on audit_log
    for each statement execute function refuse_change();
