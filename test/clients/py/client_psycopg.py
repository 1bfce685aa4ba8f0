"""psycopg 3, which binds on the server: an array needs no cast, None in it neither."""
import psycopg

import acts


class Adapter:
    def __init__(self, user):
        self.connection = psycopg.connect(dbname='postgres', user=user, autocommit=True, **acts.SETTINGS)

    def query(self, sql, values=()):
        return self.connection.execute(sql, values).fetchall()

    def execute(self, sql):
        self.connection.execute(sql)

    def insert(self, rows):
        with self.connection.cursor() as cursor:
            cursor.executemany('INSERT INTO wawp.membership_intent (group_jid, jid, instance, reason)'
                               ' VALUES (%(group_jid)s, %(jid)s, %(instance)s, %(reason)s)', rows)

    def transaction(self, body):
        with self.connection.transaction():
            return body()

    def listen(self, channel, cause):
        self.connection.execute(f'LISTEN {channel}')
        cause()
        return next(self.connection.notifies()).payload

    def close(self):
        self.connection.close()


acts.run(Adapter)
