"""Which mixes meet in which triplet (planning), and what they sound like (rendering)."""
