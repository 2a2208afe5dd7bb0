"""The command ``zoe``: answers ``--version`` at once, and ends every error with its exit code."""

import sys

import zoe


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    if given == ["--version"]:
        print(f"zoe {zoe.__version__}")
        return 0
    from zoe.cli.app import command
    from zoe.cli.output import report
    from zoe.model.errors import ZoeError

    try:
        command(given, prog_name="zoe")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except ZoeError as error:
        if "-v" in given or "--verbose" in given:
            import traceback

            traceback.print_exc()
        return report(error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # whoever read us has gone; nobody wants to hear about it
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
