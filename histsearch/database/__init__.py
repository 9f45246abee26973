"""The PostgreSQL behind everything: connections, histsearch's own tables, their migrations."""
