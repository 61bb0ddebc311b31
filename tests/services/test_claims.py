"""Claims on a real PostgreSQL: jobs claimed together share a token; each is stored once, also when their leases run out on the way."""

from uuid import UUID, uuid4

from fibapp.jobs import NewJob
from fibapp.store import Database
from fibapp.store.claims import Claim, ClaimStore, Held, Result
from fibapp.store.jobs import JobStore
from tests.services.pipeline import Pipeline
from tests.waiting import eventually

LEASE_SECONDS = 0.2


def test_jobs_claimed_together_are_stored_once_though_their_leases_ran_out(pipeline: Pipeline) -> None:
    pipeline.migrate()
    database = Database(pipeline.database_url, role="worker", connections=1, timeout=5.0)
    jobs = [NewJob(uuid4(), 5, "recursive") for _ in range(3)]
    ids = [job.id for job in jobs]
    JobStore(database).add(jobs, "test")
    slow, quick = (ClaimStore(database, lease_seconds=LEASE_SECONDS, max_crashes=3) for _ in range(2))
    first = _token_of_all(slow, ids)
    assert first
    # The supervisor renews the one job that the slot names; the others' leases end while, say, the database is away.
    taken = ids[:2]
    second = eventually(lambda: _token_of_all(quick, taken), "the leases to run out", interval=0.02)
    assert second

    assert slow.store(first, [Result(job_id, "5", 1.0) for job_id in ids]) == {ids[2]}, "only what nobody took over"
    assert slow.renew([Held(ids[0], first)]) == set()
    assert quick.store(second, [Result(job_id, "5", 1.0) for job_id in taken]) == set(taken)
    assert quick.store(second, [Result(job_id, "5", 1.0) for job_id in taken]) == set(taken), "a repeated question writes nothing"
    with pipeline.connection(pipeline.database_url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT state, writes FROM jobs")
        assert cursor.fetchall() == [("done", 1)] * 3
    database.close()


def test_only_what_nobody_ever_began_is_stored_without_a_claim(pipeline: Pipeline) -> None:
    pipeline.migrate()
    database = Database(pipeline.database_url, role="worker", connections=1, timeout=5.0)
    new, other, begun, cancelled = jobs = [NewJob(uuid4(), 5, "recursive") for _ in range(4)]
    JobStore(database).add(jobs, "test")
    store = ClaimStore(database, lease_seconds=60, max_crashes=3)
    store.claim([begun.id], "somebody@test")
    JobStore(database).cancel(cancelled.id)
    unknown, token = uuid4(), uuid4()
    claims = [Claim(job_id, token, 5, "recursive") for job_id in (new.id, begun.id, cancelled.id, unknown)]
    claims.append(Claim(other.id, token, 6, "recursive"))
    results = [Result(claim.job_id, str(claim.n), 1.0) for claim in claims]
    assert store.store_unclaimed(claims, results, "me@test") == {new.id}
    assert store.store_unclaimed(claims, results, "me@test") == {new.id}, "asked again it knows its own deed"
    again = [Claim(new.id, uuid4(), 5, "recursive")]
    assert store.store_unclaimed(again, results[:1], "another@test") == set()
    states = {str(row["id"]): (row["state"], row["writes"], row["attempts"]) for row in pipeline.rows("id, state, writes, attempts")}
    assert states == {
        str(new.id): ("done", 1, 1),
        str(other.id): ("queued", 0, 0),
        str(begun.id): ("running", 0, 1),
        str(cancelled.id): ("cancelled", 0, 0),
    }
    database.close()


def _token_of_all(store: ClaimStore, ids: list[UUID]) -> UUID | None:
    claims = [answer for answer in store.claim(ids, "somebody@test").values() if isinstance(answer, Claim)]
    return claims[0].token if len(claims) == len(ids) else None
