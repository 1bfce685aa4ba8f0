"""SQLAlchemy's ORM with a reflected table: it names the columns that have a value, and reads back the others."""
from sqlalchemy import MetaData, Table, create_engine
from sqlalchemy.orm import Session, registry

import acts


class Adapter:
    def __init__(self, user):
        self.engine = create_engine(f'postgresql+psycopg2://{user}@{acts.SETTINGS["host"]}:{acts.SETTINGS["port"]}/postgres')
        table = Table('membership_intent', MetaData(), schema='wawp', autoload_with=self.engine)
        self.intent = type('Intent', (), {})
        registry().map_imperatively(self.intent, table)
        self.connection = None

    def query(self, sql, values=()):
        if self.connection is not None:
            return self.connection.exec_driver_sql(sql, values).fetchall()
        with self.engine.begin() as connection:
            return connection.exec_driver_sql(sql, values).fetchall()

    def execute(self, sql):
        self.connection.exec_driver_sql(sql)

    def insert(self, rows):
        with Session(self.engine) as session:
            for row in rows:
                intent = self.intent()
                for column in acts.COLUMNS:
                    # as a model with every attribute set does
                    if column != 'id':
                        setattr(intent, column, row.get(column))
                session.add(intent)
            session.commit()

    def transaction(self, body):
        with self.engine.begin() as self.connection:
            try:
                return body()
            finally:
                self.connection, connection = None, self.connection

    no_listen = 'SQLAlchemy has no LISTEN: use the driver\'s connection'

    def close(self):
        self.engine.dispose()


acts.run(Adapter)
