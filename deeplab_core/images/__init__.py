"""Images: finding, probing, decoding (EXIF applied), thumbnails, content keys. The file is never touched."""
