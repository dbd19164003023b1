"""The entry point: ``uvicorn main:app``."""

import os

import uvicorn

from notes.api import create_app
from notes.store import NoteStore

app = create_app(NoteStore(os.environ.get("NOTES_DB", "notes.db")))

if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=int(os.environ.get("PORT", "8000")))
