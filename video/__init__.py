"""Everything between files and tensors: readers, writers, backgrounds, the conversion pipeline. Knows no network."""
