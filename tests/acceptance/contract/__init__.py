"""The contract, tested from outside: over HTTP and by command, against one real stack."""
