-- Accounts, API keys, files, jobs with their attempts and receipts, and the workers that move them.
-- Times are timestamptz, money is bigint micros, ids are prefixed text made by the gateway.

create table accounts (
    id          text primary key,
    name        text not null unique,
    cap_micros  bigint check (cap_micros >= 0),        -- live spend allowed in a calendar month (UTC)
    created_at  timestamptz not null default now()
);

create table api_keys (
    id           text primary key,
    account_id   text not null references accounts,
    mode         text not null check (mode in ('live', 'test')),
    name         text not null,
    hash         bytea not null unique,                -- SHA-256 of the key; the key itself is never stored
    prefix       text not null,                        -- first 12 characters, to recognise it
    scopes       text[] not null,
    cap_micros   bigint check (cap_micros >= 0),       -- spend allowed in a calendar month (UTC)
    created_at   timestamptz not null default now(),
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz
);
create index api_keys_of_account on api_keys (account_id, created_at);

-- A stored picture or clip that a user uploaded or that we fetched for an order: always our own clean copy.
create table files (
    id           text primary key,
    account_id   text not null references accounts,
    mode         text not null check (mode in ('live', 'test')),
    content_type text not null,
    bytes        bigint not null,
    sha256       text not null,
    media_key    text not null,
    url          text not null,
    width        integer,
    height       integer,
    created_at   timestamptz not null default now(),
    deleted_at   timestamptz
);
create index files_of_account on files (account_id, created_at);

create table workers (
    id         bigint generated always as identity primary key,
    name       text not null,
    started_at timestamptz not null default now(),
    seen_at    timestamptz not null default now(),     -- beat of its heart; silence for long means dead
    ended_at   timestamptz
);

create table jobs (
    id                  text primary key,
    account_id          text not null references accounts,
    key_id              text not null references api_keys,
    mode                text not null check (mode in ('live', 'test')),
    state               text not null check (state in ('queued', 'submitting', 'submit_unknown', 'running',
                                                       'storing', 'completed', 'failed', 'cancelled')),
    model               text not null,
    ask                 jsonb not null,                -- the request as it was accepted
    settled             jsonb not null,                -- what will be rendered: defaults resolved, checked
    inputs              jsonb not null default '{}',   -- role -> id of a file of ours
    quote_micros        bigint not null check (quote_micros >= 0),
    tags                jsonb not null default '{}',
    webhook_url         text,
    worker_id           bigint references workers,     -- who works on it now; null = nobody
    fence               bigint not null default 0,     -- grows with every takeover; guards every write
    clip                jsonb,                         -- what the provider delivered, while it is being stored
    cancel_requested_at timestamptz,
    cancel_after_at     timestamptz,
    deadline_at         timestamptz not null,          -- given up after this
    terminal            bytea,                         -- the exact bytes of the public answer, written at settle
    created_at          timestamptz not null default now(),
    started_at          timestamptz,
    ended_at            timestamptz,
    check ((state in ('completed', 'failed', 'cancelled')) = (terminal is not null))
);
create index jobs_of_account on jobs (account_id, mode, created_at desc, id desc);
create index jobs_unfinished on jobs (created_at) where terminal is null;

-- One try to submit a job: written and committed before the first byte leaves.
create table attempts (
    nonce      text primary key,
    job_id     text not null references jobs,
    number     integer not null,
    provider   text not null,
    endpoint   text not null,
    order_json jsonb not null,
    cost_micros bigint,                                -- what the provider will bill, where known
    worker_id  bigint not null references workers,
    fence      bigint not null,
    created_at timestamptz not null default now(),
    outcome    text check (outcome in ('not_sent', 'refused', 'unusable', 'rate_limited', 'submitted',
                                              'unknown', 'given_up')),
    message    text,
    ended_at   timestamptz,
    unique (job_id, number)
);

create index attempts_given_up on attempts (job_id) where outcome = 'given_up';
create index attempts_on_their_way on attempts (provider, endpoint) where outcome is null;

-- A provider's receipt. Append-only, accepted from any worker at any time: the ref of a paid task is never lost.
create table receipts (
    id          bigint generated always as identity primary key,
    nonce       text not null references attempts,
    ref         jsonb not null,
    source      text not null check (source in ('answer', 'callback', 'reconcile')),
    received_at timestamptz not null default now()
);
create index receipts_of_attempt on receipts (nonce, id);
create index receipts_of_task on receipts ((ref ->> 'id'));    -- a found task may be somebody else's already

-- What users saw happen to a job, in order; server-sent events resume from `seq`.
create table job_events (
    seq        bigint generated always as identity primary key,
    job_id     text not null references jobs,
    status     text not null,
    created_at timestamptz not null default now()
);
create index job_events_of_job on job_events (job_id, seq);

-- The stored clip of a job.
create table clips (
    job_id      text not null references jobs,
    late        boolean not null default false,
    media_key   text not null,
    url         text not null,
    bytes       bigint not null,
    sha256      text not null,
    poster_url  text,
    facts       jsonb not null,
    created_at  timestamptz not null default now(),
    primary key (job_id, late)
);

-- A clip that came after its job had been given up: stored, given, never charged.
create table late_results (
    job_id     text primary key references jobs,
    body       bytea not null,
    created_at timestamptz not null default now()
);

create table idempotency_keys (
    account_id  text not null references accounts,
    mode        text not null check (mode in ('live', 'test')),
    key         text not null,
    fingerprint bytea not null,                        -- SHA-256 of method, path and canonical body
    job_id      text not null references jobs deferrable initially deferred,
    body        bytea not null,                        -- the exact bytes that were answered
    created_at  timestamptz not null default now(),
    primary key (account_id, mode, key)
);

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only: % refused', tg_table_name, tg_op using errcode = 'restrict_violation';
end $$;

create trigger receipts_never_change before update or delete on receipts
    for each row execute function refuse_change();
create trigger receipts_never_truncated before truncate on receipts
    for each statement execute function refuse_change();

-- A job that has ended stays as it ended.
create function refuse_reopening() returns trigger language plpgsql as $$
begin
    raise exception 'job % has ended as %: it cannot change', old.id, old.state using errcode = 'restrict_violation';
end $$;
create trigger ended_jobs_never_change before update of state, terminal, quote_micros on jobs
    for each row when (old.terminal is not null) execute function refuse_reopening();
