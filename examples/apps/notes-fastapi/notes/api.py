"""The HTTP interface."""

from fastapi import FastAPI, HTTPException
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from notes.store import Note, NoteStore

PAGE = "<!doctype html><title>Notes</title><h1>Notes</h1><p>{count} kept.</p>"


class NewNote(BaseModel):
    text: str = Field(min_length=1, max_length=500)


def create_app(store: NoteStore) -> FastAPI:
    app = FastAPI(title="Notes")

    @app.get("/", response_class=HTMLResponse)
    def index() -> str:
        return PAGE.format(count=len(store.all()))

    @app.get("/health")
    def health() -> dict[str, str]:
        if not store.ping():
            raise HTTPException(503, "the database does not answer")
        return {"status": "ok"}

    @app.get("/api/notes")
    def list_notes() -> list[Note]:
        return store.all()

    @app.post("/api/notes", status_code=201)
    def add_note(note: NewNote) -> Note:
        return store.add(note.text)

    @app.delete("/api/notes/{note_id}", status_code=204)
    def delete_note(note_id: int) -> None:
        if not store.delete(note_id):
            raise HTTPException(404, "no such note")

    return app
