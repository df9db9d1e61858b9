"""Published results: packed so that anyone can check them, and checked without running what they bring."""
