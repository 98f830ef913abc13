-- Wallets and the double-entry ledger behind them.
-- A positive amount is money put into a book, a negative one money taken out; every transaction sums to 0.
-- Wallet balances follow from the entries by trigger, so nothing can move one without the other.

create table wallets (
    account_id       text not null references accounts,
    mode             text not null check (mode in ('live', 'test')),
    available_micros bigint not null default 0 check (available_micros >= 0),
    held_micros      bigint not null default 0 check (held_micros >= 0),
    primary key (account_id, mode),
    -- What is held can always come back without running over.
    check (available_micros <= 9223372036854775807 - held_micros)
);

-- Every account has its two wallets from the moment it exists, so a hold always has a row to lock.
create function open_wallets() returns trigger language plpgsql as $$
begin
    insert into wallets (account_id, mode) values (new.id, 'live'), (new.id, 'test');
    return null;
end $$;
create trigger accounts_open_wallets after insert on accounts for each row execute function open_wallets();
insert into wallets (account_id, mode) select id, mode from accounts cross join (values ('live'), ('test')) as modes (mode);

create table ledger_transactions (
    id            text primary key,
    seq           bigint generated always as identity unique,
    account_id    text not null,
    mode          text not null,
    kind          text not null check (kind in ('grant', 'hold', 'capture', 'release', 'refund', 'loss')),
    amount_micros bigint not null check (amount_micros >= 0),   -- granted, held, charged, given back or lost
    job_id        text references jobs deferrable initially deferred,
    key_id        text references api_keys,                     -- who spent it; only a hold says
    memo          text not null default '',
    created_at    timestamptz not null default now(),
    foreign key (account_id, mode) references wallets,
    check ((kind = 'grant') = (job_id is null)),
    check ((kind = 'hold') = (key_id is not null))
);
create unique index one_hold_per_job on ledger_transactions (job_id) where kind = 'hold';
create unique index one_settle_per_job on ledger_transactions (job_id) where kind in ('capture', 'release');
create unique index one_loss_per_job on ledger_transactions (job_id) where kind = 'loss';
create index refunds_of_job on ledger_transactions (job_id) where kind = 'refund';
create index ledger_of_wallet on ledger_transactions (account_id, mode, seq desc);
create index captures_of_wallet on ledger_transactions (account_id, mode, created_at) where kind = 'capture';

create table ledger_entries (
    transaction_id text not null references ledger_transactions,
    book           text not null check (book in ('wallet_available', 'wallet_held', 'revenue', 'provider_cost',
                                                 'provider_payable', 'operator_loss', 'external')),
    amount_micros  bigint not null check (amount_micros <> 0),
    primary key (transaction_id, book)
);

-- Held or charged in a calendar month (UTC), per account (live money only) and per key, against their caps.
create table spending (
    scope_id text not null,                            -- id of an account or of a key
    month    date not null check (month = date_trunc('month', month)),
    micros   bigint not null check (micros >= 0),
    primary key (scope_id, month)
);

-- Stricter than a check at commit: the entries of a transaction come in one statement, whole, or not at all.
create function post_entries() returns trigger language plpgsql as $$
declare
    unbalanced text;
begin
    select e.transaction_id into unbalanced
      from ledger_entries e
     where e.transaction_id in (select transaction_id from posted)
     group by e.transaction_id
    having sum(e.amount_micros) <> 0
     limit 1;
    if found then
        raise exception 'ledger transaction % does not sum to 0', unbalanced using errcode = 'check_violation';
    end if;
    update wallets w
       set available_micros = w.available_micros + moved.available,
           held_micros = w.held_micros + moved.held
      from (select t.account_id, t.mode,
                   coalesce(sum(e.amount_micros) filter (where e.book = 'wallet_available'), 0) as available,
                   coalesce(sum(e.amount_micros) filter (where e.book = 'wallet_held'), 0) as held
              from posted e join ledger_transactions t on t.id = e.transaction_id
             where e.book in ('wallet_available', 'wallet_held')
             group by t.account_id, t.mode) moved
     where (w.account_id, w.mode) = (moved.account_id, moved.mode);
    return null;
end $$;
create trigger entries_move_wallets after insert on ledger_entries referencing new table as posted
    for each statement execute function post_entries();

create trigger transactions_never_change before update or delete on ledger_transactions
    for each row execute function refuse_change();
create trigger transactions_never_truncated before truncate on ledger_transactions
    for each statement execute function refuse_change();
create trigger entries_never_change before update or delete on ledger_entries
    for each row execute function refuse_change();
create trigger entries_never_truncated before truncate on ledger_entries
    for each statement execute function refuse_change();

create function spending_month(moment timestamptz) returns date immutable language sql as $$
    select date_trunc('month', moment at time zone 'UTC')::date
$$;

-- Hold money for a whole flush of jobs, in order, in one round trip. A refused item changes nothing and the next
-- ones still run; a job that has its hold already answers `held` again. The rule for one item is `ledger.hold`.
-- Wallets are locked first and in one order, and everything that money touches is reached under that lock.
create function hold_many(led_ids text[], job_ids text[], account_ids text[], key_ids text[], modes text[],
                          amounts bigint[])
returns table (outcome text, limit_micros bigint, used_micros bigint) language plpgsql as $$
#variable_conflict use_column
declare
    this_month    date := spending_month(now());
    used_of_wallet bigint[] := array_fill(0::bigint, array[cardinality(job_ids)]);
    used_of_key    bigint[] := array_fill(0::bigint, array[cardinality(job_ids)]);
    accepted       boolean[] := array_fill(false, array[cardinality(job_ids)]);
    seen           integer := 0;
    item           record;
begin
    perform 1 from wallets w
      where (w.account_id, w.mode) in (select * from unnest(account_ids, modes))
      order by w.account_id, w.mode for no key update;
    for item in
        select asked.*, dense_rank() over (order by asked.account_id, asked.mode) as wallet_rank,
               dense_rank() over (order by asked.key_id) as key_rank,
               w.available_micros, a.cap_micros as account_cap, k.cap_micros as key_cap,
               coalesce(account_spending.micros, 0) as account_spent,
               coalesce(key_spending.micros, 0) as key_spent, before.amount_micros as held_before
          from unnest(job_ids, account_ids, key_ids, modes, amounts) with ordinality
                 as asked (job_id, account_id, key_id, mode, micros, place)
          join wallets w on w.account_id = asked.account_id and w.mode = asked.mode
          join api_keys k on k.id = asked.key_id and k.account_id = asked.account_id and k.mode = asked.mode
          left join accounts a on a.id = asked.account_id and asked.mode = 'live'
          left join spending account_spending
                 on account_spending.scope_id = asked.account_id and account_spending.month = this_month
          left join spending key_spending
                 on key_spending.scope_id = asked.key_id and key_spending.month = this_month
          left join ledger_transactions before on before.job_id = asked.job_id and before.kind = 'hold'
         order by asked.place
    loop
        seen := seen + 1;
        outcome := 'held'; limit_micros := null; used_micros := null;
        if item.held_before is not null then
            if item.held_before <> item.micros then
                raise exception 'job % holds % micros, not %', item.job_id, item.held_before, item.micros
                      using errcode = 'unique_violation';
            end if;
        elsif item.micros > 0 and item.micros > item.key_cap - item.key_spent - used_of_key[item.key_rank] then
            outcome := 'key_cap';
            limit_micros := item.key_cap;
            used_micros := item.key_spent + used_of_key[item.key_rank];
        elsif item.micros > 0
              and item.micros > item.account_cap - item.account_spent - used_of_wallet[item.wallet_rank] then
            outcome := 'account_cap';
            limit_micros := item.account_cap;
            used_micros := item.account_spent + used_of_wallet[item.wallet_rank];
        elsif item.micros > item.available_micros - used_of_wallet[item.wallet_rank] then
            outcome := 'insufficient';
            limit_micros := item.available_micros - used_of_wallet[item.wallet_rank];
        else
            accepted[seen] := true;
            used_of_wallet[item.wallet_rank] := used_of_wallet[item.wallet_rank] + item.micros;
            used_of_key[item.key_rank] := used_of_key[item.key_rank] + item.micros;
        end if;
        return next;
    end loop;
    if seen <> cardinality(job_ids) then
        raise exception 'a hold names an account or a key that does not exist or do not belong together'
              using errcode = 'foreign_key_violation';
    end if;
    insert into ledger_transactions (id, account_id, mode, kind, amount_micros, job_id, key_id)
    select held.id, held.account_id, held.mode, 'hold', held.micros, held.job_id, held.key_id
      from unnest(led_ids, account_ids, modes, amounts, job_ids, key_ids, accepted) with ordinality
             as held (id, account_id, mode, micros, job_id, key_id, accepted, place)
     where held.accepted order by held.place;
    insert into ledger_entries (transaction_id, book, amount_micros)
    select held.id, side.book, side.sign * held.micros
      from unnest(led_ids, amounts, accepted) as held (id, micros, accepted)
     cross join (values ('wallet_available', -1), ('wallet_held', 1)) as side (book, sign)
     where held.accepted and held.micros > 0;
    insert into spending (scope_id, month, micros)
    select scope.id, this_month, sum(held.micros)
      from unnest(account_ids, key_ids, modes, amounts, accepted) as held (account_id, key_id, mode, micros, accepted)
     cross join lateral (values (held.key_id, true), (held.account_id, held.mode = 'live')) as scope (id, counts)
     where held.accepted and held.micros > 0 and scope.counts
     group by scope.id
        on conflict (scope_id, month) do update set micros = spending.micros + excluded.micros;
end $$;
