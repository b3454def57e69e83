"""Several bands of one field or of the same objects, measured together."""
