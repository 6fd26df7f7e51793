"""What every room stands on, without business meaning."""
