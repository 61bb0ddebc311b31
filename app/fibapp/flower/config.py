"""Flower's configuration file: names assigned here are Flower's options. Read by `python -m fibapp flower`."""

from fibapp.settings import load_settings as _load_settings

_settings = _load_settings()

address = _settings.listen_host
port = _settings.flower_port
url_prefix = "flower"
# Without credentials Flower would show everything to everybody: an empty setting must stop it, not open it.
basic_auth = [_settings.flower_basic_auth.get_secret_value()]
if ":" not in basic_auth[0]:
    raise SystemExit("FIB_FLOWER_BASIC_AUTH must be user:password")
if _settings.flower_cookie_secret.get_secret_value():
    cookie_secret = _settings.flower_cookie_secret.get_secret_value()
read_only = _settings.flower_read_only
if _settings.broker_api_url:
    # Without credentials in it: Flower takes those of the broker URL (mher/flower#1174).
    broker_api = _settings.broker_api_url
# Our workers send events without being told to.
enable_events = False
# A worker at its CPU limit may answer later than within Flower's usual second, and its page would say 404. An answer ends the wait.
inspect_timeout = 5_000.0
max_tasks = 10_000
max_workers = 1_000
# Every pod the autoscaler removed would stay listed otherwise (mher/flower#1128).
purge_offline_workers = 120
tasks_columns = "name,uuid,args,state,received,started,runtime,result,worker"
task_runtime_metric_buckets = [0.001, 0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0]
