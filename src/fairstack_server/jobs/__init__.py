"""Jobs: the durable work behind a generation. Read `lifecycle.py` first: it tells a job's whole life."""
