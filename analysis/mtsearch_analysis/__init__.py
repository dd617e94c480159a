"""What a finished or running search says: tables in, tables and figures out."""
