"""Django, with a model as inspectdb writes it: an INSERT names every column, with NULL where there is no value."""
import django
from django.conf import settings
from django.db import connections, models, transaction

import acts

DATABASE = {'ENGINE': 'django.db.backends.postgresql', 'NAME': 'postgres', 'HOST': acts.SETTINGS['host'], 'PORT': acts.SETTINGS['port']}
settings.configure(DATABASES={'default': {**DATABASE, 'USER': 'app'}, 'stranger': {**DATABASE, 'USER': 'stranger'}}, USE_TZ=True,
                   INSTALLED_APPS=[], DEFAULT_AUTO_FIELD='django.db.models.BigAutoField')
django.setup()

FIELDS = {'id': models.BigAutoField, 'priority': models.IntegerField, 'after': models.BigIntegerField, 'code': models.IntegerField,
          'attempts': models.IntegerField, 'crashes': models.IntegerField, 'verify': models.BooleanField, 'invite': models.BooleanField,
          'superseded': models.BooleanField, 'context': models.JSONField, 'requested_from': models.JSONField, 'home': models.UUIDField,
          'requester': models.BigIntegerField,
          **{name: models.DateTimeField for name in acts.COLUMNS if name.endswith('_at') or name in ('not_before', 'until')}}


def field(name):
    if name == 'id':
        return models.BigAutoField(primary_key=True)
    return FIELDS.get(name, models.TextField)(null=True)


class Meta:
    managed = False
    db_table = 'wawp"."membership_intent'
    app_label = 'app'


Intent = type('Intent', (models.Model,), {'__module__': __name__, 'Meta': Meta, **{name: field(name) for name in acts.COLUMNS}})


class Adapter:
    def __init__(self, user):
        self.alias = 'default' if user == 'app' else user

    def query(self, sql, values=()):
        with connections[self.alias].cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.fetchall()

    def execute(self, sql):
        with connections[self.alias].cursor() as cursor:
            cursor.execute(sql)

    def insert(self, rows):
        if len(rows) == 1:
            Intent(**rows[0]).save(using=self.alias)
        else:
            Intent.objects.using(self.alias).bulk_create([Intent(**row) for row in rows])

    def transaction(self, body):
        with transaction.atomic(using=self.alias):
            return body()

    no_listen = 'Django has no LISTEN: use the driver\'s connection'

    def close(self):
        connections[self.alias].close()


acts.run(Adapter)
