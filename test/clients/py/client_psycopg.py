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
        if len(rows) > 1:
            self.copy(rows)
            return
        with self.connection.cursor() as cursor:
            cursor.executemany('INSERT INTO wawp.membership_intent (group_jid, jid, instance, reason)'
                               ' VALUES (%(group_jid)s, %(jid)s, %(instance)s, %(reason)s)', rows)

    def copy(self, rows):
        with self.connection.transaction(), self.connection.cursor() as cursor:
            cursor.execute('CREATE TEMP TABLE incoming (group_jid text, jid text, instance text, reason text) ON COMMIT DROP')
            with cursor.copy('COPY incoming FROM STDIN') as copy:
                for row in rows:
                    copy.write_row((row['group_jid'], row['jid'], row['instance'], row['reason']))
            cursor.execute('INSERT INTO wawp.membership_intent (group_jid, jid, instance, reason) SELECT * FROM incoming')

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
