"""`elman` again and again, without importing torch again: a server that forks at each request.

Its arguments are the modules that it imports before, which the command need not import by itself.
A line of its input holds arguments, folder and the files of input and output, as JSON; a line of
its output the exit status.
"""

import gc
import importlib
import json
import os
import sys


def serve() -> None:
    for module in sys.argv[1:]:
        importlib.import_module(module)
    gc.freeze()

    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            os.chdir(order["cwd"])
            given = order["stdin"]
            for descriptor, file in ((0, given), (1, order["stdout"]), (2, order["stderr"])):
                os.dup2(os.open(file, os.O_RDWR | os.O_CREAT), descriptor)
            sys.stdin = open(0, closefd=False)  # noqa: SIM115
            sys.argv = ["elman", *order["arguments"]]
            try:
                importlib.import_module("elman.cli").main()
            except SystemExit as ending:
                sys.stdout.flush()
                sys.stderr.flush()
                # Taking all that was imported down again takes more than a second.
                os._exit(int(ending.code or 0))
            os._exit(1)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(status, flush=True)


if __name__ == "__main__":
    serve()
