"""What an engineer gets who wants a machine in a system: the folder that ``covenant rtl`` writes (`covenant.package.folder`)."""
