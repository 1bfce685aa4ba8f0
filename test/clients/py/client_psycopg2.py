"""psycopg2, which writes values into the statement: a list is ARRAY[...], an empty one '{}'."""
import select

import psycopg2
from psycopg2.extras import execute_values

import acts


class Adapter:
    def __init__(self, user):
        self.connection = psycopg2.connect(dbname='postgres', user=user, **acts.SETTINGS)
        self.connection.autocommit = True

    def query(self, sql, values=()):
        with self.connection.cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.fetchall()

    def execute(self, sql):
        with self.connection.cursor() as cursor:
            cursor.execute(sql)

    def insert(self, rows):
        with self.connection.cursor() as cursor:
            execute_values(cursor, 'INSERT INTO wawp.membership_intent (group_jid, jid, instance, reason) VALUES %s',
                           [(row['group_jid'], row['jid'], row['instance'], row['reason']) for row in rows])

    def transaction(self, body):
        self.connection.autocommit = False
        try:
            with self.connection:
                return body()
        finally:
            self.connection.autocommit = True

    def listen(self, channel, cause):
        self.execute(f'LISTEN {channel}')
        cause()
        while not self.connection.notifies:
            select.select([self.connection], [], [], 60)
            self.connection.poll()
        return self.connection.notifies.pop(0).payload

    def close(self):
        self.connection.close()


acts.run(Adapter)
