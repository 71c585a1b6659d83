"""The HTTP service: requests in, results of `sr4.batch` out."""
