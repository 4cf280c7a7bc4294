"""From files to the parts of a track: decoding, summing, separation, silence and segments."""
