-- Webhooks: who is told, what was to be said, and every try to say it.

-- Secrets that sign an account's webhooks: one current, and those that were rotated out and still sign until then.
create table webhook_secrets (
    account_id  text not null references accounts,
    secret      text not null,
    created_at  timestamptz not null default now(),
    valid_until timestamptz,                           -- null = the current one
    primary key (account_id, secret)
);
create unique index one_current_secret on webhook_secrets (account_id) where valid_until is null;

-- An address that is somebody's default, or that was disabled, or both. Test jobs have their own default.
create table webhook_endpoints (
    account_id  text not null references accounts,
    mode        text not null check (mode in ('live', 'test')),
    url         text not null,
    host        text not null,
    is_default  boolean not null,
    disabled_at timestamptz,                           -- nothing is sent there until it is enabled again
    reason      text,
    created_at  timestamptz not null default now(),
    primary key (account_id, mode, url),
    check ((disabled_at is null) = (reason is null))
);
create unique index one_default_endpoint on webhook_endpoints (account_id, mode) where is_default;

-- The outbox: written in the transaction that ends the job, so nothing that happened goes untold.
create table webhook_deliveries (
    id              text primary key,
    message_id      text not null unique check (message_id not like '%.%'),   -- webhook-id, the same in every attempt
    account_id      text not null references accounts,
    mode            text not null check (mode in ('live', 'test')),
    job_id          text references jobs,              -- null for a test event
    url             text not null,
    host            text not null,
    body            bytea not null,
    state           text not null check (state in ('pending', 'delivered', 'failed', 'disabled')),
    attempts        integer not null default 0,        -- recorded ones, all rounds
    attempts_before integer not null default 0,        -- of these, made before the last redelivery asked by hand
    lease           bigint not null default 0,         -- grows with every claim; guards the record of its attempt
    next_at         timestamptz,                       -- due then; while it is being sent, taken for lost then
    created_at      timestamptz not null default now(),
    delivered_at    timestamptz,
    check ((state = 'pending') = (next_at is not null)),
    check (attempts >= attempts_before)
);
create index deliveries_due on webhook_deliveries (next_at) where state = 'pending';
create index deliveries_due_by_host on webhook_deliveries (host, next_at) where state = 'pending';
create index deliveries_of_account on webhook_deliveries (account_id, mode, created_at desc, id desc);
create index deliveries_of_job on webhook_deliveries (job_id) where job_id is not null;

create table webhook_attempts (
    delivery_id text not null references webhook_deliveries,
    number      integer not null,
    at          timestamptz not null,
    outcome     text not null check (outcome in ('delivered', 'http_error', 'redirected', 'gone',
                                                 'address_refused', 'timeout', 'unreachable')),
    status_code integer,                               -- null when there was no answer
    duration_ms integer not null,
    primary key (delivery_id, number)
);
