#!/usr/bin/env python3
"""Checks what wawp_audit_proof(id) returns, without PostgreSQL: verify.py PROOF [HASH [HEADERS]]

PROOF is a file, or - for standard input.  HASH is what was kept of wawp_audit_head(), in hexadecimal: the proof's block
has to have it, or HEADERS (SELECT json_agg(b ORDER BY block) FROM wawp.audit_block b) have to lead from that block to it.
Prints what is proved and exits with 0; with 1, and the reason, if it is not.  The form: doc/audit-seal.md.
"""
import datetime, hashlib, json, sys

COLUMNS = ('id at kind instance instance_id group_jid contact_id intent_id batch_id attempt action outcome http_status code '
           'login_role requested_by actor application_name client_addr origin reason request_id duration_ms detail').split()
TEXTS = {'batch_id', 'actor', 'application_name', 'reason', 'detail'}
HEADER = 'block at home timeline first_id last_id pruned_through root previous'.split()


def sha(kind, data):
    return hashlib.sha256(bytes([kind]) + data).digest()

def field(value):
    if value is None:
        return b'\xff' * 4
    if isinstance(value, int):
        value = value.to_bytes(8, 'big', signed=True)
    elif isinstance(value, str):
        value = value.encode()
    return len(value).to_bytes(4, 'big') + value

def text_digest(value, seal):
    if value is None:
        return bytes.fromhex(seal['digest']) if seal else None
    if 'salt' not in seal:
        raise ValueError('a text is there that is said to be erased')
    return sha(3, bytes.fromhex(seal['salt']) + value.encode())

def record_digest(record, texts):
    return sha(0, b'\x01' + b''.join(field(text_digest(record[c], texts.get(c)) if c in TEXTS else record[c]) for c in COLUMNS))

def header_hash(block):
    digests = {c: bytes.fromhex(block[c]) for c in ('root', 'previous')}
    return sha(2, b'\x01' + b''.join(field(digests.get(c, block[c])) for c in HEADER)).hex()

def root(node, index, size, path):
    if size == 1:
        return node
    left = 1 << (size - 1).bit_length() - 1
    if index < left:
        return sha(1, root(node, index, left, path[:-1]) + path[-1])
    return sha(1, path[-1] + root(node, index - left, size - left, path[:-1]))

def micros(text):
    at = datetime.datetime.fromisoformat(text)
    return round((at - datetime.datetime(1970, 1, 1, tzinfo=at.tzinfo and datetime.timezone.utc)) / datetime.timedelta(microseconds=1))

def main(proof, anchor=None, headers=None):
    proof = json.load(sys.stdin if proof == '-' else open(proof, encoding='utf-8'))
    record, block = proof['record'], proof['block']
    size, index = block['last_id'] - block['first_id'] + 1, record['id'] - block['first_id']
    if proof['version'] != 1 or not 0 <= index < size:
        raise ValueError('this is no proof of this version')
    path = [bytes.fromhex(p) for p in proof['path']]
    if root(record_digest(record, proof['texts']), index, size, path).hex() != block['root']:
        raise ValueError('the record is not in the block')
    known = header_hash(block)
    number = block['block']
    for h in json.load(open(headers, encoding='utf-8')) if headers else []:
        h = dict(h, at=micros(h['at']), **{c: h[c].removeprefix('\\x') for c in ('root', 'previous')})
        if known != anchor and h['block'] == number + 1 and h['previous'] == known:
            known, number = header_hash(h), h['block']
    if anchor and known != anchor.removeprefix('\\x'):
        raise ValueError('block %d does not have, or lead to, the hash that was kept' % block['block'])
    print('record %d is in block %d%s' % (record['id'], block['block'], ', before the hash that was kept' if anchor else ', whose hash is ' + known))

if __name__ == '__main__':
    try:
        main(*sys.argv[1:])
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, OSError) as error:
        sys.exit('not proved: %s' % error)
