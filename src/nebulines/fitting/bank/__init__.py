"""The filter bank: spectra fitted from tables of line profiles, without their channels."""
