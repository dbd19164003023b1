"""Notes in one SQLite file."""

import sqlite3
from dataclasses import dataclass


@dataclass(frozen=True)
class Note:
    id: int
    text: str


class NoteStore:
    """Opens one connection per call, so that any thread may use it."""

    def __init__(self, path: str) -> None:
        self._path = path
        with self._connect() as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)"
            )

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path)

    def add(self, text: str) -> Note:
        with self._connect() as connection:
            cursor = connection.execute("INSERT INTO notes (text) VALUES (?)", (text,))
        assert cursor.lastrowid is not None
        return Note(cursor.lastrowid, text)

    def all(self) -> list[Note]:
        with self._connect() as connection:
            rows = connection.execute("SELECT id, text FROM notes ORDER BY id").fetchall()
        return [Note(*row) for row in rows]

    def delete(self, note_id: int) -> bool:
        with self._connect() as connection:
            return connection.execute("DELETE FROM notes WHERE id = ?", (note_id,)).rowcount > 0

    def ping(self) -> bool:
        with self._connect() as connection:
            return bool(connection.execute("SELECT 1").fetchone() == (1,))
