"""`python -m fibapp ROLE`: one image, the command picks the role."""

import argparse
from collections.abc import Callable

from fibapp import logs
from fibapp.settings import Settings, load_settings


def _migrate(settings: Settings) -> None:
    from fibapp import migrate

    migrate.run(settings)


def _api(settings: Settings) -> None:
    from fibapp import server

    server.run(settings)


def _relay(settings: Settings) -> None:
    from fibapp import relay

    relay.run(settings)


def _flower(settings: Settings) -> None:
    from fibapp import flower

    flower.run(settings)


# Each role imports only what it needs.
ROLES: dict[str, tuple[Callable[[Settings], None], str]] = {
    "migrate": (_migrate, "bring the database schema up to date, waiting for the database"),
    "api": (_api, "serve the API and the page on port 8000, metrics on port 9000"),
    "relay": (_relay, "publish a message for every accepted job; health and metrics on port 9001"),
    "flower": (_flower, "serve the dashboard on port 5555 under /flower/"),
}


def main() -> None:
    """Run the role named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m fibapp", description="One process of a FibPipeline, set up by FIB_... variables.")
    roles = parser.add_subparsers(dest="role", required=True, metavar="ROLE")
    for name, (_, summary) in ROLES.items():
        roles.add_parser(name, help=summary, description=summary.capitalize() + ".")
    role = parser.parse_args().role
    settings = load_settings()
    logs.configure(settings.log_level, role)
    ROLES[role][0](settings)


if __name__ == "__main__":
    main()
