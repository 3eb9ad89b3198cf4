"""The families of doors and windows, one room each: its words, its error body and its routes together."""
