"""What half precision does to maps."""
