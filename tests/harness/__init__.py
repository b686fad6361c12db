"""What the end-to-end tests share: starting tarn, talking to it byte by byte, making sites."""
