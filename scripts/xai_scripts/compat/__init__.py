"""Runs what xai-insert writes on several versions of OpenVINO."""
