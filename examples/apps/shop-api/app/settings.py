"""Settings from the environment; every variable begins with SHOP_."""

import os


def setting(name: str) -> str:
    return os.environ[f"SHOP_{name.upper()}"]
