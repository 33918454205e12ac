-- Back to where the transaction stood.
ROLLBACK TO SAVEPOINT before_lock
