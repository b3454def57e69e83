"""The direct path: line profiles channel by channel, for any axis, mask and noise."""
