"""A guestbook: ``gunicorn app:app`` or ``flask run``."""

import os
from datetime import datetime, timezone

from flask import Flask, jsonify, redirect, render_template, request

app = Flask(__name__)
entries = []


@app.get("/health")
def health():
    return jsonify(status="ok", service="guestbook")


@app.get("/")
def index():
    return render_template("index.html", entries=entries)


@app.post("/sign")
def sign():
    name = request.form.get("name", "").strip()
    if not name:
        return jsonify(error="name is required"), 400
    entries.append(
        {
            "name": name,
            "message": request.form.get("message", ""),
            "signed_at": datetime.now(timezone.utc),
        }
    )
    return redirect("/")


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=int(os.environ.get("PORT", "5000")))
