"""What a driver and a device did, judged from what was observed of them."""
