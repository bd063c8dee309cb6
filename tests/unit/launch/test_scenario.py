"""What the demo prints for a person to copy."""

import shlex
from pathlib import Path

from steadfast.demo.summary import Reading


def test_the_psql_line_keeps_the_password_out_of_the_arguments():
    reading = Reading("bakery", "postgresql://a_reader:p%40s%27s@127.0.0.1:5433/steadfast", Path("bin/psql"))
    password, *arguments = shlex.split(reading.command("SELECT 1"))
    assert password == "PGPASSWORD=p@s's"
    expected = ["bin/psql", "-h", "127.0.0.1", "-p", "5433", "-U", "a_reader", "-d", "steadfast"]
    assert arguments == [*expected, "-c", "SELECT 1"]
    assert "p%40s" not in repr(reading)
