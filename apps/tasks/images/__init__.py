"""Re-encode images, so that neither their metadata nor anything appended to them is stored."""
