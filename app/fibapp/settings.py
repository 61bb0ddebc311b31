"""Settings of every role, read from the environment (`FIB_...`) or from files of a mounted Secret."""

import os
import socket
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

DEFAULT_SECRETS_DIR = "/run/secrets/fibpipeline"


class Settings(BaseSettings):
    """What an operator of the application can choose; credentials are `SecretStr`, so that they never reach a log by accident."""

    model_config = SettingsConfigDict(env_prefix="FIB_", extra="ignore")

    database_url: SecretStr = SecretStr("postgresql://fib@localhost:5432/fib")
    broker_url: SecretStr = SecretStr("amqp://localhost:5672/fib")
    broker_api_url: str = ""
    queue: str = Field(default="fib", min_length=1, max_length=200, description="Name of the queue and the exchanges in the broker")
    flower_basic_auth: SecretStr = SecretStr("")
    flower_cookie_secret: SecretStr = SecretStr("")
    flower_read_only: bool = True

    max_recursive_n: int = Field(default=40, ge=0, le=90)
    max_n: int = Field(default=1_000_000, ge=0, le=100_000_000)
    max_batch_jobs: int = Field(default=1_000, ge=1)
    max_queued_per_client: int = Field(default=10_000, ge=1)
    max_crashes: int = Field(default=5, ge=1, description="Crashed attempts after which a job fails for good")
    pipeline_name: str = "fibpipeline"
    trusted_proxies: int = Field(default=1, ge=0, description="Reverse proxies whose X-Forwarded-* headers are believed")

    worker_concurrency: int = Field(default=1, ge=1, le=64)
    job_time_limit_seconds: float = Field(default=285, gt=0, le=1685)
    lease_seconds: float = Field(default=15, gt=0)
    pod_name: str = Field(default_factory=socket.gethostname)

    relay_hold_seconds: float = Field(default=10, gt=0, description="When another relay takes over what one began to publish")
    relay_grace_seconds: float = Field(default=5, gt=0, description="When a message neither queued nor claimed counts as lost")
    relay_base_seconds: float = Field(default=30, gt=0, description="The first wait before a job is published again; doubles")
    relay_cap_seconds: float = Field(default=600, gt=0, description="The longest such wait")

    database_timeout_seconds: float = Field(default=1.0, gt=0, description="The longest the API waits for the database")
    api_threads: int = Field(default=16, ge=1)
    api_database_connections: int = Field(default=8, ge=1)

    # Fixed in a pipeline; several processes on one machine need others.
    listen_host: str = Field(default="", description="The address to listen on. Empty: all addresses, of IPv4 and IPv6")
    api_port: int = 8000
    api_internal_port: int = 9000
    relay_port: int = 9001
    worker_port: int = 9002
    flower_port: int = 5555

    log_level: str = "INFO"


def load_settings() -> Settings:
    """The settings of this process; files in `FIB_SECRETS_DIR` fill in what the environment does not say."""
    folder = Path(os.environ.get("FIB_SECRETS_DIR", DEFAULT_SECRETS_DIR))
    return Settings(_secrets_dir=folder if folder.is_dir() else None)  # type: ignore[call-arg]
