"""Money: wallets, holds, charges, and the double-entry ledger that proves them."""
