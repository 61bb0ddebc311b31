"""The peer's one table."""

from datetime import datetime
from uuid import uuid4

from sqlalchemy import DateTime, Engine, create_engine, func, make_url
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """All tables."""


class Job(Base):
    """A job."""

    __tablename__ = "job"

    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[str] = mapped_column(index=True, default=lambda: str(uuid4()))
    n: Mapped[int]
    created: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    started: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    completed: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    result: Mapped[str | None]


def database(url: str) -> Engine:
    """A database object with its tables made sure of."""
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg2"), pool_size=16)
    Base.metadata.create_all(engine)
    return engine
