"""What an iteration of each trainer consists of: the passes of `training.loop.Trainer`, and how they are validated."""
