"""The commands of ``mend``, one module a command or a family of them; thin, over the modules beside this package."""
