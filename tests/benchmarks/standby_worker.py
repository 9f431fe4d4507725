"""A stream worker with Faust's standby tables, which ours are without: what `tests.benchmarks.recovery` compares with.

Of no other use: Faust empties a standby's queue each time the flow resumes, and takes over with what is left.
"""

from producers.kafka import KafkaSettings
from producers.settings import load_settings
from producers.topics import TopicSettings
from stream_app.app import make_app, run_app
from stream_app.settings import StreamSettings


def main() -> None:
    """Until SIGTERM."""
    kafka, topics, settings = load_settings(KafkaSettings), load_settings(TopicSettings), load_settings(StreamSettings)
    app = make_app(kafka, topics, settings, on_tansu=True)
    app.conf.table_standby_replicas = 1
    run_app(app, settings)


if __name__ == "__main__":
    main()
