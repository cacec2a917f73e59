"""What commands share. Only the standard library is imported: workers of other environments read this too."""
