"""From files to the parts of a track: decoding, summing, silence and segments."""
