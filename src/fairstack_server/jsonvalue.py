"""The type of plain JSON: what survives the database, a restart and a wire."""

from __future__ import annotations

JSON = str | int | float | bool | None | list["JSON"] | dict[str, "JSON"]
JSONObject = dict[str, JSON]
