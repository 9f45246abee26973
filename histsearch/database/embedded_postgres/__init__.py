"""The PostgreSQL that histsearch runs itself where no storage is named."""
