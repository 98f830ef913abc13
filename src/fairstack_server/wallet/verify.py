"""The proof that the books are right: every invariant of money, asked of the database in one snapshot."""

from __future__ import annotations

from dataclasses import dataclass

from fairstack_server.db.connections import Connection


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken rule: which, where, and the figures that disagree."""

    rule: str
    subject: str
    detail: str


# Each branch answers the rows that break one rule. One statement, so that all of it is seen at one moment.
_FINDINGS = """
with book as (
    select t.id, t.account_id, t.mode, t.kind, t.amount_micros, t.job_id, t.key_id, t.created_at,
           coalesce(sum(e.amount_micros), 0) as total,
           coalesce(sum(e.amount_micros) filter (where e.book = 'wallet_available'), 0) as available,
           coalesce(sum(e.amount_micros) filter (where e.book = 'wallet_held'), 0) as held,
           coalesce(sum(e.amount_micros) filter (where e.book = 'revenue'), 0) as revenue,
           coalesce(sum(e.amount_micros) filter (where e.book = 'provider_payable'), 0) as payable
      from ledger_transactions t left join ledger_entries e on e.transaction_id = t.id
     group by t.id
), per_job as (
    select job_id,
           count(*) filter (where kind = 'hold') as holds,
           count(*) filter (where kind in ('capture', 'release')) as settles,
           max(kind) filter (where kind in ('capture', 'release')) as settle,
           max(account_id) filter (where kind = 'hold') as account_id,
           max(mode) filter (where kind = 'hold') as mode,
           max(key_id) filter (where kind = 'hold') as key_id,
           spending_month(max(created_at) filter (where kind = 'hold')) as month,
           max(amount_micros) filter (where kind = 'hold') as hold_micros,
           max(amount_micros) filter (where kind = 'capture') as charge_micros,
           -sum(held) filter (where kind in ('capture', 'release')) as settled_micros,
           coalesce(sum(amount_micros) filter (where kind = 'refund'), 0) as refund_micros
      from book where job_id is not null group by job_id
), rebuilt as (
    select account_id, mode, sum(available) as available, sum(held) as held
      from book group by account_id, mode
), open_holds as (
    select account_id, mode, sum(hold_micros) as micros
      from per_job where holds > 0 and settles = 0 group by account_id, mode
), spent as (
    select scope.id, p.month,
           sum(case when p.settles = 0 then p.hold_micros else coalesce(p.charge_micros, 0) end) as micros
      from per_job p
     cross join lateral (values (p.key_id, true), (p.account_id, p.mode = 'live')) as scope (id, counts)
     where p.holds > 0 and scope.counts group by scope.id, p.month
)
select 'I1 a transaction sums to 0' as rule, id as subject, 'sums to ' || total as detail
  from book where total <> 0
union all
select 'I2 all books sum to 0', 'ledger', 'sum to ' || sum(total) from book having sum(total) <> 0
union all
select 'I3 no balance is negative', account_id || ' ' || mode,
       'available ' || available_micros || ', held ' || held_micros
  from wallets where available_micros < 0 or held_micros < 0
union all
select 'I4 held is the sum of open holds', w.account_id || ' ' || w.mode,
       'held ' || w.held_micros || ', open holds ' || coalesce(o.micros, 0)
  from wallets w left join open_holds o on (o.account_id, o.mode) = (w.account_id, w.mode)
 where w.held_micros <> coalesce(o.micros, 0)
union all
select 'I5 a job has exactly one hold', j.id, coalesce(p.holds, 0) || ' holds'
  from jobs j left join per_job p on p.job_id = j.id where coalesce(p.holds, 0) <> 1
union all
select 'I5 a settle belongs to a hold', job_id, settles || ' settles, no hold'
  from per_job where holds = 0 and settles > 0
union all
select 'I5 a job is settled once, when it has ended', j.id,
       j.state || ' with ' || coalesce(p.settles, 0) || ' settles'
  from jobs j left join per_job p on p.job_id = j.id
 where coalesce(p.settles, 0) <> case when j.state in ('completed', 'failed', 'cancelled') then 1 else 0 end
union all
select 'I6 only a completed job is charged', j.id, j.state || ' with a ' || p.settle
  from jobs j join per_job p on p.job_id = j.id
 where p.settles = 1 and (j.state = 'completed') <> (p.settle = 'capture')
union all
select 'I6 a charge is at most its hold', job_id, 'charge ' || charge_micros || ', hold ' || hold_micros
  from per_job where charge_micros > hold_micros
union all
select 'I6 a refund is at most its charge', job_id,
       'refunds ' || refund_micros || ', charge ' || coalesce(charge_micros, 0)
  from per_job where refund_micros > coalesce(charge_micros, 0)
union all
select 'I6 a settle ends its whole hold', job_id, 'settled ' || settled_micros || ', hold ' || hold_micros
  from per_job where settles > 0 and settled_micros <> hold_micros
union all
select 'I6 a hold is the quote', j.id, 'hold ' || p.hold_micros || ', quote ' || j.quote_micros
  from jobs j join per_job p on p.job_id = j.id where p.hold_micros <> j.quote_micros
union all
select 'I9 a wallet is what its entries say', w.account_id || ' ' || w.mode,
       'available ' || w.available_micros || ' and held ' || w.held_micros || ', entries say '
       || coalesce(r.available, 0) || ' and ' || coalesce(r.held, 0)
  from wallets w left join rebuilt r on (r.account_id, r.mode) = (w.account_id, w.mode)
 where (w.available_micros, w.held_micros) <> (coalesce(r.available, 0), coalesce(r.held, 0))
union all
select 'I9 an amount is what its entries say', id, kind || ' of ' || amount_micros
  from book
 where amount_micros <> case kind when 'hold' then held when 'capture' then revenue when 'loss' then payable
                                  when 'correction' then -available else available end
union all
select 'I9 spending is what was held or charged',
       coalesce(s.scope_id, r.id) || ' ' || coalesce(s.month, r.month),
       'spending ' || coalesce(s.micros, 0) || ', ledger says ' || coalesce(r.micros, 0)
  from spending s full join spent r on r.id = s.scope_id and r.month = s.month
 where coalesce(s.micros, 0) <> coalesce(r.micros, 0)
union all
select 'I10 a trigger guards the ledger', guard.name, 'missing or disabled'
  from unnest(array['entries_move_wallets', 'transactions_never_change', 'transactions_never_truncated',
                    'entries_never_change', 'entries_never_truncated']) as guard (name)
 where not exists (select from pg_trigger where tgname = guard.name and tgenabled in ('O', 'A'))
"""


async def verify(conn: Connection) -> list[Finding]:
    """Every broken rule of money in the database; an empty list is the proof that none is broken."""
    return [Finding(row["rule"], row["subject"], row["detail"]) for row in await conn.fetch(_FINDINGS)]
