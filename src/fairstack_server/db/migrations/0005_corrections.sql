-- A correction takes back what was granted by mistake and is still available. Like a grant it belongs to no job.
alter table ledger_transactions
    drop constraint ledger_transactions_kind_check,
    add constraint ledger_transactions_kind_check check
        (kind in ('grant', 'correction', 'hold', 'capture', 'release', 'refund', 'loss')),
    drop constraint ledger_transactions_check,
    add constraint ledger_transactions_check check ((kind in ('grant', 'correction')) = (job_id is null));
