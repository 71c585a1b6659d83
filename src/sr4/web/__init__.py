"""The static site that upscales in the browser, without a server."""
