"""The twelve acts, through an adapter of a driver; see ../README.md for what an adapter offers."""
import json
import os

NUMBER = os.environ['WAWP_CLIENT_NUMBER']
SETTINGS = {'host': os.environ['PGHOST'], 'port': int(os.environ['PGPORT'])}
COLUMNS = ['id', 'group_jid', 'jid', 'action', 'instance', 'reason', 'priority', 'not_before', 'expires_at', 'until', 'verify', 'invite',
           'context', 'batch_id', 'after', 'state', 'outcome', 'code', 'detail', 'instance_id', 'requester', 'requested_by', 'home',
           'requested_from', 'origin', 'attempts', 'crashes', 'superseded', 'next_attempt_at', 'created_at', 'updated_at', 'settled_at']


def group(act):
    return f'12036351{NUMBER}{act:08d}@g.us'


def person(act, i=0):
    return f'156{NUMBER}{act:02d}{i:04d}'


def jid(act, i=0):
    return person(act, i) + '@c.us'


def same(have, want, what):
    if have != want:
        raise AssertionError(f'{what}: {have}')


def sqlstate(error):
    """The SQLSTATE, in whichever exception of the chain has one."""
    while error is not None:
        for attribute in ('sqlstate', 'pgcode'):
            if getattr(error, attribute, None):
                return getattr(error, attribute)
        error = getattr(error, 'orig', None) or error.__cause__
    return None


def refused(body, state):
    try:
        body()
    except Exception as error:
        if sqlstate(error) != state:
            raise
    else:
        raise AssertionError(f'not refused with {state}')


def call(c, to, people):
    return c.query("SELECT jid, outcome::text FROM wawp_add_participants(%s, %s, instance => 'support')", (to, people))


def request(c, to, people, batch=None):
    return c.query("SELECT id, jid, created, problem, batch_id FROM wawp_request_add(%s, %s, instance => 'support', reason => %s, batch_id => %s)",
                   (to, people, 'a reason', batch))


def queued(c, to):
    return c.query('SELECT count(*) FROM wawp.membership_intent WHERE group_jid = %s', (to,))[0][0]


def act_call(c, _):
    rows = [tuple(row) for row in call(c, group(1), [person(1)])]
    same([row[0] for row in rows], [jid(1)], 'rows')
    assert rows[0][1] in ('accepted', 'added'), rows


def act_request(c, _):
    row = request(c, group(2), [person(2)])[0]
    same(tuple(row[1:4]), (jid(2), True, None), 'row')


def act_insert(c, _):
    c.insert([{'group_jid': group(3), 'jid': person(3), 'instance': 'support', 'reason': 'by a model'}])
    same([row[0] for row in c.query('SELECT jid FROM wawp.membership_intent WHERE group_jid = %s', (group(3),))], [jid(3)], 'rows')


def act_bulk(c, _):
    c.insert([{'group_jid': group(4), 'jid': person(4, i), 'instance': 'support', 'reason': 'one of many'} for i in range(50)])
    same(queued(c, group(4)), 50, 'rows')


def act_trigger(c, _):
    c.query('INSERT INTO app.shift (group_jid, phone) VALUES (%s, %s) RETURNING id', (group(5), person(5)))
    same(queued(c, group(5)), 1, 'rows')


def act_timeout(c, _):
    def body():
        c.execute("SET LOCAL statement_timeout = '300ms'")
        call(c, os.environ['WAWP_HANGING_GROUP'], [person(6)])
    refused(lambda: c.transaction(body), '57014')


def act_arrays(c, _):
    rows = request(c, group(7), [person(7), None, 'nobody'])
    same([(row[2], row[3] is None) for row in rows], [(True, True), (False, False), (False, False)], 'rows')
    same(list(request(c, group(7), [])), [], 'no people')
    as_numbers = (group(7), [int(person(7, 1))])
    refused(lambda: c.transaction(lambda: c.query("SELECT created FROM wawp_request_add(%s, %s, instance => 'support')", as_numbers)), '42883')
    numbers = c.query("SELECT jid, created FROM wawp_request_add(%s, %s::text[], instance => 'support')", as_numbers)
    same([tuple(row) for row in numbers], [(jid(7, 1), True)], 'numbers')


class RolledBack(Exception):
    pass


def act_rollback(c, _):
    def body():
        request(c, group(8), [person(8)])
        raise RolledBack
    try:
        c.transaction(body)
    except RolledBack:
        pass
    same(queued(c, group(8)), 0, 'after the rollback')

    def as_clerk():
        c.query("SELECT set_config('wawp.actor', %s, true)", ('clerk 7',))
        request(c, group(8), [person(8)])
    c.transaction(as_clerk)
    actors = c.query("SELECT requested_from ->> 'actor' FROM wawp.membership_intent WHERE group_jid = %s", (group(8),))
    same([row[0] for row in actors], ['clerk 7'], 'after the commit, the actor')


def act_wait(c, _):
    request(c, group(9), [person(9), person(9, 1)], f'batch {NUMBER}')
    row = c.query('SELECT pending, done FROM wawp_wait(%s, %s::interval)', (f'batch {NUMBER}', '60 s'))[0]
    same(tuple(row), (0, 2), 'pending, done')


def act_notify(c, _):
    if not hasattr(c, 'listen') or os.environ.get('WAWP_NO_LISTEN'):
        return os.environ.get('WAWP_NO_LISTEN') or c.no_listen
    heard = c.listen('wawp', lambda: request(c, group(10), [person(10)]))
    same(json.loads(heard)['state'], 'done', 'heard')


def act_readonly(c, _):
    def body():
        c.execute('SET TRANSACTION READ ONLY')
        call(c, group(11), [person(11)])
    refused(lambda: c.transaction(body), '25006')


def act_stranger(_, connect):
    other = connect('stranger')
    refused(lambda: request(other, group(12), [person(12)]), '42501')
    other.close()


def run(connect):
    """connect(user) makes an adapter.  Prints a line "act TAB ok, fail or none TAB detail" for each act."""
    c = connect('app')
    for name, act in [(name[4:], act) for name, act in globals().items() if name.startswith('act_')]:
        try:
            none = act(c, connect)
            print(name, 'none' if none else 'ok', none or '', sep='\t', flush=True)
        except Exception as error:
            print(name, 'fail', ' '.join(f'{type(error).__name__}: {error}'.split()) , sep='\t', flush=True)
    c.close()
