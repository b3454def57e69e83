"""Reports in files: how good a method is, and the papers' tables and figures beside ours."""
