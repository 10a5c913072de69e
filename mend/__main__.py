"""``python -m mend``: the command line where no script was installed."""

from mend.main import main

main()
