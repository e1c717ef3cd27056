"""The whole bank as one pure function: `decide(view, input, now) -> Step`."""
