"""The one package that knows pytest and xdist."""
