"""The networks, each called as `network(x_t, log_snr, low_res)`."""
