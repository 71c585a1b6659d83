"""Judging results: metrics, features of whole sets, and reports that state their protocol."""
