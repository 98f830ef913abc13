-- Whether anything arrived at an address lately is asked after its late failures.
create index deliveries_of_address on webhook_deliveries (account_id, mode, url, delivered_at desc);
