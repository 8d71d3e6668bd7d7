"""Sheets of QR stickers, as SVG and PDF."""
