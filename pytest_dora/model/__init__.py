"""The words everything else is written in: frozen pydantic models, importing nothing of ours."""
