-- Routes and the providers behind them: what is gone for good, and what each worker sees of its providers.

-- A route whose provider said (404, 410) that it has no such thing; not used again until an operator clears it.
create table gone_routes (
    model     text not null,
    provider  text not null,
    endpoint  text not null,
    said      text not null,                           -- what was answered, without any key
    marked_at timestamptz not null default now(),
    primary key (model, provider, endpoint)
);

-- Health, room and last words of a provider as one worker sees them; written when they change, read for the operator.
create table provider_reports (
    worker_id  bigint not null references workers on delete cascade,
    provider   text not null,
    report     jsonb not null,
    updated_at timestamptz not null default now(),
    primary key (worker_id, provider)
);

-- `gone`: the provider no longer has what the route names.
alter table attempts drop constraint attempts_outcome_check;
alter table attempts add constraint attempts_outcome_check check
    (outcome in ('not_sent', 'refused', 'unusable', 'gone', 'rate_limited', 'submitted', 'unknown', 'given_up'));
