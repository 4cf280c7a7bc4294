"""A catalogue's committed output, and what a night has to do to it; nothing here knows Ray."""
