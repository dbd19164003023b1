"""One module per check: a function from an AppSession to a CheckResult. Nothing here knows pytest."""
