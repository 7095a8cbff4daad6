"""python -m hotloop doctor | warmup"""

import argparse

from .kernels import doctor, warmup


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m hotloop")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("doctor", help="what the kernels find on this machine")
    warm = commands.add_parser("warmup", help="compile kernels into the cache before they are needed")
    warm.add_argument("names", nargs="*", help="modules of kernels/cpu, or module.kernel (default: the common ones)")
    warm.add_argument("--all", action="store_true", help="every kernel")
    warm.add_argument("--float64", action="store_true", help="double precision as well")
    args = parser.parse_args()
    if args.command == "doctor":
        doctor.print_report()
        return
    names = warmup.modules() if args.all else args.names or warmup.COMMON
    try:
        warmup.warmup(names, ("float32", "float64") if args.float64 else ("float32",))
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
