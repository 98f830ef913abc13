"""The routes, one file per noun; each hands its handlers to `api/app.py`."""
