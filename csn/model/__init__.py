"""Front end, encoders, network and losses."""
