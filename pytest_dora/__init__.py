"""Tell whether AI-generated web apps build, type-check, test and run, as a pytest plugin."""

__version__ = "0.1.0"
