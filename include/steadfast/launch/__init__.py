"""Starting an installation on one machine: PostgreSQL, Airflow and what a demo adds, as one process tree.

Airflow is only ever run as a child process here, never imported. `stack.open_stack` is the way in.
"""
