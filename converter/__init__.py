"""From files to files: one clip, many of them, and the command that does it. Knows the engine and the files."""
