"""Music similarity by one part at a time, learned by conditional similarity networks on Ray."""
