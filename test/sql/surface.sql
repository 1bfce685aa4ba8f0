\set ECHO none
-- surface: members of the extension, their signatures and privileges.
\i test/sql-include/setup.sql

CREATE TEMP VIEW member AS
SELECT d.classid, d.objid, i.type, i.identity
FROM pg_depend d
JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, 0) i
WHERE e.extname = 'wawp' AND d.deptype = 'e'
    -- from 17 on array and row types, which come with others, are members too
    AND NOT (d.classid = 'pg_type'::regclass AND EXISTS (
        SELECT FROM pg_depend o WHERE o.classid = d.classid AND o.objid = d.objid AND o.deptype = 'i'));

CREATE TEMP VIEW member_function AS
SELECT p.*, pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result
FROM pg_proc p
JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid;

SELECT plan(135);

-- ---- members

SELECT is(rows_of($$SELECT type, identity FROM member WHERE type <> 'function' ORDER BY type, identity$$),
    ARRAY['("foreign-data wrapper",wawp)', '(procedure,"public.wawp_drain(integer,interval)")', '(schema,wawp)',
        '(sequence,wawp.audit_note_id_seq)', '(sequence,wawp.contact_contact_id_seq)', '(sequence,wawp.membership_intent_id_seq)',
        '(table,wawp.audit_block)', '(table,wawp.audit_log)', '(table,wawp.audit_note)', '(table,wawp.contact)', '(table,wawp.erasure)', '(table,wawp.erasure_key)', '(table,wawp.group_settings)',
        '(table,wawp.hold)', '(table,wawp.identity)', '(table,wawp.membership)',
        '(table,wawp.membership_intent)', '(table,wawp.opt_out_word)', '(table,wawp.requester_hold)', '(table,wawp.suppression)',
        '(table,wawp.webhook_event)', '(table,wawp.webhook_refusal)', '(type,wawp.action)', '(type,wawp.audit_kind)', '(type,wawp.outcome)',
        '(type,wawp.state)', '(view,wawp.audit)', '(view,wawp.budget)', '(view,wawp.funnel)', '(view,wawp.instance)',
        '(view,wawp.metrics)', '(view,wawp.outcome_info)', '(view,wawp.overview)', '(view,wawp.progress)', '(view,wawp.queue)', '(view,wawp.stuck)', '(view,wawp.worker_status)'],
    'members that are no functions');

SELECT is(rows_of('SELECT proname FROM member_function ORDER BY proname'),
    ARRAY['(_account)', '(_account_problem)', '(_audit_erased)', '(_audit_refuse)', '(_budget)', '(_drain_time)', '(_funnel_figures)', '(_hold_figures)', '(_home)',
        '(_identity_begin)', '(_intent_fill)', '(_is_monitor)', '(_is_own)', '(_may_use)', '(_metrics)', '(_oldest_due)', '(_option_info)', '(_outcome_info)', '(_privileges_begin)', '(_progress_figures)',
        '(_queue_figures)', '(_report_seal)', '(_row_arrived)',
        '(_stuck_figures)', '(_text_limits)', '(_worker_pid)', '(_worker_start)', '(_worker_status)', '(wawp_add_participants)', '(wawp_audit_head)', '(wawp_audit_proof)', '(wawp_audit_verify)', '(wawp_cancel)',
        '(wawp_cancel_batch)', '(wawp_check_exists)', '(wawp_check_participants)', '(wawp_classify)', '(wawp_create_group)',
        '(wawp_demote_participants)', '(wawp_drain)', '(wawp_erase)', '(wawp_explain)', '(wawp_fdw_handler)', '(wawp_fdw_validator)',
        '(wawp_group_info)', '(wawp_groups)', '(wawp_invite_link)', '(wawp_is_group_jid)',
        '(wawp_is_person_jid)', '(wawp_jid)', '(wawp_join_requests)', '(wawp_membership_trigger)', '(wawp_note_contact)', '(wawp_participants)',
        '(wawp_pause)', '(wawp_promote_participants)', '(wawp_remove_participants)', '(wawp_report)', '(wawp_request_add)',
        '(wawp_request_demote)', '(wawp_request_invite)', '(wawp_request_promote)', '(wawp_request_remove)', '(wawp_request_swap)',
        '(wawp_resume)', '(wawp_retry)', '(wawp_revoke_invite_link)', '(wawp_send_text)', '(wawp_session)', '(wawp_subject_export)',
        '(wawp_suppress)', '(wawp_sync_group)', '(wawp_sync_groups)', '(wawp_take_over)', '(wawp_unsuppress)', '(wawp_wait)', '(wawp_webhook)'],
    'members that are functions');

SELECT is(rows_of($$SELECT type, identity FROM member
                    WHERE coalesce(obj_description(objid, classid::regclass::name), '') = ''$$),
    '{}', 'every member has a comment');
SELECT is(rows_of($$SELECT c.oid::regclass, a.attname FROM member m JOIN pg_class c ON c.oid = m.objid AND m.classid = 'pg_class'::regclass
                    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                    WHERE c.relkind IN ('r', 'p', 'v') AND coalesce(col_description(c.oid, a.attnum), '') = ''$$),
    '{}', 'so has every column of a table or view');

SELECT is(rows_of($$SELECT extnamespace::regnamespace, extrelocatable FROM pg_extension WHERE extname = 'wawp'$$),
    ARRAY['(public,f)'], 'it is in public unless told otherwise, and not relocatable');

SELECT enum_has_labels('wawp', 'outcome', ARRAY[
    'added', 'already_member', 'joined_by_invite', 'removed', 'not_member', 'promoted', 'demoted',
    'accepted', 'unknown_result', 'privacy_blocked', 'community_restricted', 'invited',
    'pending_approval', 'recently_left', 'removed_by_admin', 'blocked_by_user', 'not_on_whatsapp',
    'legal_restricted', 'bad_identifier', 'suppressed', 'unrecognised', 'group_full', 'not_admin',
    'group_not_found', 'group_locked', 'link_unavailable', 'rate_limited', 'server_error',
    'unreachable', 'account_restricted', 'session_down', 'auth_failed', 'quota_exceeded',
    'throttled'], 'outcomes, in their order');

-- ---- signatures: names, order, types and defaults of arguments, columns of results

SELECT is((SELECT arguments || ' -> ' || result FROM member_function WHERE proname = name), signature,
    'signature of ' || name)
FROM (VALUES
    ('wawp_add_participants',
     'group_jid text, jids text[], instance name DEFAULT NULL::name, reason text DEFAULT NULL::text, '
     'verify boolean DEFAULT false, precheck boolean DEFAULT false, OUT jid text, OUT outcome wawp.outcome, OUT code integer, OUT detail text, '
     'OUT verified boolean, OUT retry_at timestamp with time zone -> SETOF record'),
    ('wawp_remove_participants',
     'group_jid text, jids text[], instance name DEFAULT NULL::name, reason text DEFAULT NULL::text, '
     'OUT jid text, OUT outcome wawp.outcome, OUT code integer, OUT detail text, '
     'OUT verified boolean, OUT retry_at timestamp with time zone -> SETOF record'),
    ('wawp_promote_participants',
     'group_jid text, jids text[], instance name DEFAULT NULL::name, reason text DEFAULT NULL::text, '
     'OUT jid text, OUT outcome wawp.outcome, OUT code integer, OUT detail text, '
     'OUT verified boolean, OUT retry_at timestamp with time zone -> SETOF record'),
    ('wawp_demote_participants',
     'group_jid text, jids text[], instance name DEFAULT NULL::name, reason text DEFAULT NULL::text, '
     'OUT jid text, OUT outcome wawp.outcome, OUT code integer, OUT detail text, '
     'OUT verified boolean, OUT retry_at timestamp with time zone -> SETOF record'),
    ('wawp_check_participants',
     'group_jid text, jids text[], instance name DEFAULT NULL::name, OUT jid text, OUT outcome wawp.outcome, OUT detail text -> SETOF record'),
    ('wawp_join_requests',
     'group_jid text, instance name DEFAULT NULL::name, OUT jid text, OUT requested_at timestamp with time zone, OUT method text -> SETOF record'),
    ('wawp_participants',
     'group_jid text, instance name DEFAULT NULL::name, OUT jid text, OUT phone_jid text, OUT lid text, '
     'OUT role text -> SETOF record'),
    ('wawp_group_info',
     'group_jid text, instance name DEFAULT NULL::name, OUT group_jid text, OUT subject text, OUT size integer, '
     'OUT is_admin boolean, OUT raw jsonb -> SETOF record'),
    ('wawp_groups',
     'instance name DEFAULT NULL::name, OUT group_jid text, OUT subject text, OUT size integer -> SETOF record'),
    ('wawp_create_group', 'subject text, jids text[], instance name DEFAULT NULL::name -> text'),
    ('wawp_invite_link', 'group_jid text, instance name DEFAULT NULL::name -> text'),
    ('wawp_revoke_invite_link', 'group_jid text, instance name DEFAULT NULL::name -> text'),
    ('wawp_send_text', 'chat_jid text, message text, instance name DEFAULT NULL::name -> text'),
    ('wawp_check_exists',
     'phones text[], instance name DEFAULT NULL::name, OUT phone text, OUT registered boolean, OUT jid text '
     '-> SETOF record'),
    ('wawp_session',
     'instance name DEFAULT NULL::name, OUT instance name, OUT status text, OUT usable boolean, OUT me_jid text, '
     'OUT push_name text -> SETOF record'),
    ('wawp_jid', 'identifier text -> text'),
    ('wawp_is_group_jid', 'identifier text -> boolean'),
    ('wawp_is_person_jid', 'identifier text -> boolean'),
    ('wawp_classify',
     'operation text, http_status integer, body text, OUT jid text, OUT outcome wawp.outcome, OUT code integer, '
     'OUT detail text -> SETOF record'),
    ('wawp_request_add',
     'group_jid text, jids text[], instance name DEFAULT NULL::name, reason text DEFAULT NULL::text, priority integer DEFAULT 0, '
     'not_before timestamp with time zone DEFAULT NULL::timestamp with time zone, '
     'expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone, '
     'until timestamp with time zone DEFAULT NULL::timestamp with time zone, verify boolean DEFAULT true, invite boolean DEFAULT true, '
     'context jsonb DEFAULT NULL::jsonb, batch_id text DEFAULT NULL::text, after bigint DEFAULT NULL::bigint, '
     'OUT id bigint, OUT jid text, OUT created boolean, OUT problem text, OUT batch_id text -> SETOF record'),
    ('wawp_request_remove',
     'group_jid text, jids text[], instance name DEFAULT NULL::name, reason text DEFAULT NULL::text, priority integer DEFAULT 0, '
     'not_before timestamp with time zone DEFAULT NULL::timestamp with time zone, '
     'expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone, '
     'context jsonb DEFAULT NULL::jsonb, batch_id text DEFAULT NULL::text, after bigint DEFAULT NULL::bigint, '
     'OUT id bigint, OUT jid text, OUT created boolean, OUT problem text, OUT batch_id text -> SETOF record'),
    ('wawp_request_promote',
     'group_jid text, jids text[], instance name DEFAULT NULL::name, reason text DEFAULT NULL::text, priority integer DEFAULT 0, '
     'not_before timestamp with time zone DEFAULT NULL::timestamp with time zone, '
     'expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone, '
     'context jsonb DEFAULT NULL::jsonb, batch_id text DEFAULT NULL::text, after bigint DEFAULT NULL::bigint, '
     'OUT id bigint, OUT jid text, OUT created boolean, OUT problem text, OUT batch_id text -> SETOF record'),
    ('wawp_request_demote',
     'group_jid text, jids text[], instance name DEFAULT NULL::name, reason text DEFAULT NULL::text, priority integer DEFAULT 0, '
     'not_before timestamp with time zone DEFAULT NULL::timestamp with time zone, '
     'expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone, '
     'context jsonb DEFAULT NULL::jsonb, batch_id text DEFAULT NULL::text, after bigint DEFAULT NULL::bigint, '
     'OUT id bigint, OUT jid text, OUT created boolean, OUT problem text, OUT batch_id text -> SETOF record'),
    ('wawp_request_invite',
     'group_jid text, jids text[], instance name DEFAULT NULL::name, reason text DEFAULT NULL::text, priority integer DEFAULT 0, '
     'not_before timestamp with time zone DEFAULT NULL::timestamp with time zone, '
     'expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone, '
     'context jsonb DEFAULT NULL::jsonb, batch_id text DEFAULT NULL::text, after bigint DEFAULT NULL::bigint, '
     'OUT id bigint, OUT jid text, OUT created boolean, OUT problem text, OUT batch_id text -> SETOF record'),
    ('wawp_request_swap',
     'group_jid text, leaver text, newcomer text, instance name DEFAULT NULL::name, reason text DEFAULT NULL::text, priority integer DEFAULT 0, '
     'not_before timestamp with time zone DEFAULT NULL::timestamp with time zone, '
     'expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone, '
     'until timestamp with time zone DEFAULT NULL::timestamp with time zone, verify boolean DEFAULT true, invite boolean DEFAULT true, '
     'context jsonb DEFAULT NULL::jsonb, batch_id text DEFAULT NULL::text, after bigint DEFAULT NULL::bigint, '
     'OUT id bigint, OUT jid text, OUT created boolean, OUT problem text, OUT batch_id text -> SETOF record'),
    ('wawp_cancel', 'id bigint -> boolean'),
    ('wawp_cancel_batch', 'batch_id text -> bigint'),
    ('wawp_retry', 'id bigint -> boolean'),
    ('wawp_explain', 'id bigint -> text'),
    ('wawp_wait',
     'batch_id text, timeout interval DEFAULT NULL::interval, OUT pending bigint, OUT done bigint, OUT failed bigint, '
     'OUT cancelled bigint -> record'),
    ('wawp_pause',
     'instance name, group_jid text DEFAULT NULL::text, reason text DEFAULT NULL::text -> boolean'),
    ('wawp_resume', 'instance name, group_jid text DEFAULT NULL::text -> boolean'),
    ('wawp_take_over', 'instance name, before timestamp with time zone DEFAULT now() -> bigint'),
    ('wawp_sync_group',
     'group_jid text, jids text[], instance name DEFAULT NULL::name, reason text DEFAULT NULL::text, mode text DEFAULT ''plan''::text, '
     'managed_only boolean DEFAULT true, max_remove_pct integer DEFAULT 20, OUT jid text, OUT action wawp.action, OUT why text -> SETOF record'),
    ('wawp_sync_groups',
     'source regclass, group_column name, jid_column name, instance name DEFAULT NULL::name, reason text DEFAULT NULL::text, '
     'mode text DEFAULT ''plan''::text, managed_only boolean DEFAULT true, max_remove_pct integer DEFAULT 20, '
     'OUT group_jid text, OUT jid text, OUT action wawp.action, OUT why text -> SETOF record'),
    ('wawp_suppress',
     'jid text, group_jid text DEFAULT NULL::text, reason text DEFAULT NULL::text, '
     'until timestamp with time zone DEFAULT NULL::timestamp with time zone -> boolean'),
    ('wawp_unsuppress', 'jid text, group_jid text DEFAULT NULL::text -> boolean'),
    ('wawp_subject_export', 'jid text -> jsonb'),
    ('wawp_erase', 'jid text, reason text DEFAULT NULL::text -> bigint'),
    ('wawp_note_contact',
     'jid text, at timestamp with time zone DEFAULT NULL::timestamp with time zone -> boolean'),
    ('wawp_webhook',
     'payload text, signature text, instance name DEFAULT NULL::name, OUT status integer, OUT retry_after integer, OUT detail text -> record'),
    ('wawp_audit_verify',
     'since timestamp with time zone DEFAULT NULL::timestamp with time zone, before timestamp with time zone DEFAULT NULL::timestamp with time zone, '
     'OUT ok boolean, OUT checked bigint, OUT first_bad_block bigint, OUT first_bad_id bigint, OUT problem text -> record'),
    ('wawp_audit_head', 'OUT block bigint, OUT at timestamp with time zone, OUT root bytea, OUT hash bytea -> record'),
    ('wawp_audit_proof', 'id bigint -> jsonb'),
    ('wawp_report', 'since timestamp with time zone, before timestamp with time zone, instance name DEFAULT NULL::name -> text'),
    ('wawp_membership_trigger', ' -> trigger'),
    ('wawp_fdw_handler', ' -> fdw_handler'),
    ('wawp_fdw_validator', 'options text[], catalog oid -> void')
) f(name, signature);

SELECT is((SELECT proargnames::text FROM member_function WHERE proname = 'wawp_drain'), '{max_requests,max_time}', 'arguments of wawp_drain');

-- ---- tables and views: columns, types, defaults, keys

SET LOCAL intervalstyle = 'postgres';
SELECT is((SELECT string_agg(concat_ws(' ', attname, replace(atttypid::regtype::text, 'timestamp with time zone', 'timestamptz'), CASE WHEN attnotnull THEN 'not null' END,
                CASE attidentity WHEN 'd' THEN 'identity' END, 'default ' || pg_get_expr(adbin, adrelid)), ', ' ORDER BY attnum)
           FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
           WHERE attrelid = name::regclass AND attnum > 0), columns, 'columns of ' || name)
FROM (VALUES
    ('wawp.audit_log',
     'id bigint not null, at timestamptz not null, kind wawp.audit_kind not null, instance name, instance_id text, '
     'group_jid text, contact_id bigint, intent_id bigint, batch_id text, attempt integer, action wawp.action, outcome '
     'wawp.outcome, http_status integer, code integer, login_role name, requested_by name, actor text, '
     'application_name text, client_addr inet, origin text, reason text, request_id uuid, duration_ms integer, detail '
     'jsonb, digest bytea, salt bytea, erased jsonb'),
    ('wawp.audit_block',
     'block bigint not null, at timestamptz not null, home uuid not null, timeline integer not null, first_id bigint '
     'not null, last_id bigint not null, pruned_through bigint, root bytea not null, previous bytea not null, hash '
     'bytea not null'),
    ('wawp.audit_note',
     'id bigint not null identity, kind wawp.audit_kind not null, instance name, instance_id text, group_jid '
     'text, jid text, intent_id bigint, batch_id text, action wawp.action, reason text, role name, requested_from '
     'jsonb, home uuid default wawp._home()'),
    ('wawp.contact',
     'contact_id bigint not null identity, jid text not null, lid text, registered boolean, known_as text, checked_at '
     'timestamptz, last_inbound_at timestamptz'),
    ('wawp.group_settings',
     'instance name not null, group_jid text not null, adds_per_minute double precision, capacity integer not null '
     'default 1024, invite boolean not null default true, invite_text text, welcome_text text, welcome_delay interval '
     'not null default ''00:01:00''::interval, overflow_group text, check_exists boolean not null default true, '
     'require_contact_within interval, managed boolean not null default true'),
    ('wawp.hold',
     'instance name not null, group_jid text, reason text not null, since timestamptz not null, until timestamptz, '
     'failures integer not null default 0, paused_by oid, instance_id text'),
    ('wawp.identity',
     'system_identifier bigint not null, database_oid oid not null, home uuid not null default gen_random_uuid(), '
     'mark uuid, timeline integer, site text, doubtful_before timestamptz'),
    ('wawp.membership',
     'instance name not null, group_jid text not null, contact_id bigint not null, added_by_us boolean not null '
     'default false, added_at timestamptz, seen_at timestamptz, until timestamptz, invited_at timestamptz, welcomed_at'
     ' timestamptz, left_at timestamptz, requester oid, requested_by text, home uuid, reason text, instance_id text'),
    ('wawp.requester_hold',
     'instance name not null, requester oid not null, reason text not null, since timestamptz not null, until timestamptz not null, '
     'failures integer not null default 0, trial boolean not null default false'),
    ('wawp.opt_out_word', 'word text not null, built_in boolean not null default false'),
    ('wawp.suppression',
     'jid text not null, group_jid text, reason text not null, since timestamptz not null default clock_timestamp(), '
     'until timestamptz'),
    ('wawp.audit',
     'id bigint, at timestamptz, kind wawp.audit_kind, instance name, instance_id text, group_jid text, contact_id '
     'bigint, intent_id bigint, batch_id text, attempt integer, action wawp.action, outcome wawp.outcome, http_status '
     'integer, code integer, login_role name, requested_by name, actor text, application_name text, client_addr inet, '
     'origin text, reason text, request_id uuid, duration_ms integer, detail jsonb, jid text'),
    ('wawp.budget',
     'instance name, adds_left_minute bigint, adds_left_day bigint, next_at timestamptz'),
    ('wawp.funnel',
     'instance text, group_jid text, batch_id text, asked bigint, added bigint, already bigint, invited bigint, '
     'joined_by_invite bigint, waiting bigint, refused jsonb'),
    ('wawp.instance',
     'name name, base_url text, options jsonb, worker_pid integer, held_by text, last_error text'),
    ('wawp.outcome_info',
     'outcome wawp.outcome, about text, final boolean, next_step text, text text, hint text'),
    ('wawp.progress',
     'batch_id text, total bigint, done bigint, failed bigint, cancelled bigint, pct integer, eta timestamptz, bar '
     'text'),
    ('wawp.queue',
     'instance text, group_jid text, queued bigint, due bigint, next_at timestamptz, held_by text, eta timestamptz'),
    ('wawp.stuck',
     'id bigint, instance text, group_jid text, jid text, state wawp.state, outcome wawp.outcome, since timestamptz, '
     'why text'),
    ('wawp.worker_status',
     'pid integer, started_at timestamptz, last_cycle_at timestamptz, in_flight integer, oldest_due_at timestamptz, '
     'errors_in_a_row integer, sqlstate text, last_error text, state text'),
    ('wawp.membership_intent',
     'id bigint not null identity, group_jid text not null, jid text not null, action wawp.action not null default '
     '''add''::wawp.action, instance text, reason text, priority integer not null default 0, not_before timestamptz, '
     'expires_at timestamptz, until timestamptz, verify boolean not null default true, invite boolean not null default'
     ' true, context jsonb, batch_id text, after bigint, state wawp.state not null default ''queued''::wawp.state, '
     'outcome wawp.outcome, code integer, detail text, instance_id text not null default ''''::text, requester oid not'
     ' null default 0, requested_by text not null default ''''::text, home uuid, requested_from jsonb, origin text not'
     ' null default ''insert''::text, attempts integer not null default 0, crashes integer not null default 0, '
     'superseded boolean not null default false, next_attempt_at timestamptz, created_at timestamptz not null default '
     'clock_timestamp(), updated_at timestamptz not null default clock_timestamp(), settled_at timestamptz'),
    ('wawp.webhook_event',
     'instance name not null, event text not null, id text not null, instance_id text, received_at timestamptz not null default '
     'clock_timestamp(), body text, home uuid default wawp._home(), next_at timestamptz not null default clock_timestamp(), '
     'tries integer not null default 0, happened_at timestamptz, applied_at timestamptz, detail text, progress text'),
    ('wawp.webhook_refusal',
     'instance name not null, slot integer not null, body_hash bytea not null, bytes integer not null, reason text not null, refused '
     'bigint not null default 1, bodies bigint not null default 1, first_at timestamptz not null default clock_timestamp(), '
     'last_at timestamptz not null default clock_timestamp()')
) t(name, columns);

SELECT is(rows_of($$SELECT r.ev_class::regclass FROM member JOIN pg_rewrite r ON r.ev_class = objid
                    WHERE type = 'view' AND pg_get_viewdef(objid) ~ '\.\*|SELECT \*'$$), '{}', 'every view lists its columns');

SELECT is(rows_of($$SELECT i.indrelid::regclass, i.indexrelid::regclass, pg_get_indexdef(i.indexrelid) ~ 'NULLS NOT DISTINCT' AS nulls_equal
                    FROM pg_index i JOIN member m ON m.classid = 'pg_class'::regclass AND m.objid = i.indrelid
                    WHERE i.indisunique AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = i.indrelid
                        AND a.attnum = ANY (i.indkey) AND NOT a.attnotnull) ORDER BY 1$$),
    ARRAY['(wawp.membership_intent,wawp.membership_intent_one_queued,t)', '(wawp.suppression,wawp.suppression_key,t)', '(wawp.hold,wawp.hold_key,t)'],
    'in a unique key that can be null, nulls are equal');
SELECT is(rows_of($$SELECT m.identity FROM member m JOIN pg_class c ON c.oid = m.objid AND m.classid = 'pg_class'::regclass
                    WHERE c.relkind IN ('r', 'p') AND c.relreplident <> 'f'
                        AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND c.relreplident = 'd')$$),
    '{}', 'every table has a primary key or REPLICA IDENTITY FULL');

-- ---- outcomes explained

SELECT is(rows_of('SELECT outcome FROM wawp.outcome_info'),
    rows_of('SELECT unnest(enum_range(NULL::wawp.outcome))'), 'wawp.outcome_info has every outcome, in their order');
SELECT is(rows_of($$SELECT outcome FROM wawp.outcome_info WHERE coalesce(text, '') = '' OR about IS NULL OR final IS NULL OR next_step IS NULL$$),
    '{}', 'and says of each whom it is about, whether it is final, what is next and what it means');
SELECT is(rows_of('SELECT DISTINCT about FROM wawp.outcome_info ORDER BY about'), ARRAY['(api)', '(group)', '(instance)', '(person)'], 'about');
SELECT is(rows_of('SELECT final, next_step, count(*) FROM wawp.outcome_info GROUP BY 1, 2 ORDER BY 1, 2'),
    ARRAY['(f,"hold the group",5)', '(f,"hold the instance",4)', '(f,invite,2)', '(f,nothing,1)', '(f,retry,2)', '(f,"slow down",1)', '(f,verify,2)',
        '(f,wait,2)', '(t,fail,8)', '(t,nothing,7)'], 'what is next');
SELECT is(rows_of($$SELECT about, final, next_step, text, hint FROM wawp.outcome_info WHERE outcome = 'not_admin'$$),
    ARRAY['(group,f,"hold the group","the instance''s account is not an admin of the group","Make the account an admin of the group in WhatsApp.")'],
    'for one');

-- language, volatility, strictness, parallel safety; none is a definer's or leakproof
SELECT is(rows_of($$SELECT DISTINCT l.lanname, prosecdef, proleakproof, proconfig
                    FROM member_function JOIN pg_language l ON l.oid = prolang$$),
    ARRAY['(c,f,f,)', '(sql,f,f,"{""search_path=pg_catalog, pg_temp""}")'], 'all functions run as their caller');
SELECT is(rows_of($$SELECT proname FROM member_function WHERE prosqlbody IS NOT NULL$$), ARRAY['(_audit_erased)'], '... and all are C but one, whose names were resolved when it was created');

SELECT is((SELECT concat_ws(' ', provolatile, CASE WHEN proisstrict THEN 'strict' ELSE 'called' END, proparallel)
           FROM member_function WHERE proname = name), properties, 'properties of ' || name)
FROM (VALUES
    ('wawp_audit_verify', 's called u'),
    ('wawp_audit_head', 's called u'),
    ('wawp_audit_proof', 's strict u'),
    ('wawp_add_participants', 'v called u'),
    ('wawp_remove_participants', 'v called u'),
    ('wawp_promote_participants', 'v called u'),
    ('wawp_demote_participants', 'v called u'),
    ('wawp_participants', 'v called u'),
    ('wawp_group_info', 'v called u'),
    ('wawp_groups', 'v called u'),
    ('wawp_create_group', 'v called u'),
    ('wawp_invite_link', 'v called u'),
    ('wawp_revoke_invite_link', 'v called u'),
    ('wawp_send_text', 'v called u'),
    ('wawp_check_exists', 'v called u'),
    ('wawp_check_participants', 'v called u'),
    ('wawp_join_requests', 'v called u'),
    ('wawp_session', 'v called u'),
    ('wawp_sync_group', 'v called u'),
    ('wawp_sync_groups', 'v called u'),
    ('wawp_jid', 'i strict s'),
    ('wawp_is_group_jid', 'i strict s'),
    ('wawp_is_person_jid', 'i strict s'),
    ('wawp_classify', 's called s')
) f(name, properties);

-- ---- privileges

SELECT is(rows_of($$SELECT proname FROM member_function WHERE NOT has_function_privilege('public', oid, 'EXECUTE')$$),
    ARRAY['(wawp_fdw_validator)', '(wawp_fdw_handler)', '(_intent_fill)', '(_row_arrived)', '(_text_limits)', '(_worker_start)', '(_metrics)', '(wawp_suppress)', '(wawp_unsuppress)',
        '(wawp_note_contact)', '(wawp_subject_export)', '(wawp_erase)', '(_audit_refuse)', '(_audit_erased)', '(_identity_begin)', '(wawp_webhook)', '(_privileges_begin)'],
    'PUBLIC may execute all functions, which check for themselves, but those nobody calls');
SELECT schema_privs_are('wawp', 'public', ARRAY['USAGE'], 'PUBLIC has USAGE on the schema wawp, no CREATE');
SELECT ok(has_type_privilege('public', 'wawp.outcome', 'USAGE'), 'PUBLIC has USAGE on the type wawp.outcome');
SELECT ok(NOT has_foreign_data_wrapper_privilege('public', 'wawp', 'USAGE'),
    'PUBLIC may not create servers of the wrapper');

SELECT is(rows_of($$SELECT objid::regclass FROM member JOIN pg_class c ON c.oid = objid WHERE type = 'view'
                    AND (NOT has_table_privilege('public', objid, 'SELECT') AND objid NOT IN ('wawp.audit'::regclass, 'wawp.metrics'::regclass)
                        OR NOT 'security_invoker=true' = ANY (coalesce(reloptions, '{}')))$$),
    '{}', 'every view is security_invoker, and PUBLIC may read all but the audit log''s and the metrics');

-- ---- the foreign-data wrapper

SELECT is(rows_of($$SELECT fdwhandler::regproc, fdwvalidator::regproc, fdwoptions FROM pg_foreign_data_wrapper WHERE fdwname = 'wawp'$$),
    ARRAY['(wawp_fdw_handler,wawp_fdw_validator,)'], 'the wrapper has a handler, a validator and no options');

-- ---- configuration parameters

SELECT is(rows_of($$SELECT name, vartype, context, boot_val, unit, min_val, max_val
                    FROM pg_settings WHERE name LIKE 'wawp.%' ORDER BY name$$),
    ARRAY['(wawp.actor,string,user,"",,,)', '(wawp.after_promotion,enum,sighup,serve,,,)', '(wawp.allowed_hosts,string,sighup,api.wawp.net,,,)',
        '(wawp.audit_retention,integer,sighup,0,min,0,2147483647)',
        '(wawp.audit_timeout,integer,user,5000,ms,10,2147483647)', '(wawp.connection_max_age,integer,user,300,s,1,86400)',
        '(wawp.inferred_suppression,integer,sighup,129600,min,0,2147483647)', '(wawp.instance,string,user,"",,,)',
        '(wawp.max_holds_per_role,integer,sighup,1000,,0,2147483647)',
        '(wawp.max_in_flight,integer,sighup,64,,1,256)', '(wawp.max_limiters,integer,postmaster,65536,,16,16777216)',
        '(wawp.max_queued_per_role,integer,sighup,1000000,,0,2147483647)',
        '(wawp.max_response_size,integer,user,4096,kB,1,65536)', '(wawp.member_list_cache,integer,sighup,65536,kB,64,1048576)',
        '(wawp.notify,bool,sighup,off,,,)', '(wawp.retention,integer,sighup,43200,min,0,2147483647)',
        '(wawp.site,string,postmaster,"",,,)', '(wawp.worker,bool,superuser,on,,,)'],
    'parameters: type, context, default, unit, range');
SELECT is(rows_of($$SELECT name FROM pg_settings WHERE name LIKE 'wawp.%' AND coalesce(short_desc, '') = ''$$),
    '{}', 'every parameter has a description');
SET wawp.max_response_size = '2MB';
SELECT is(current_setting('wawp.max_response_size'), '2MB', 'wawp.max_response_size has a unit');
RESET wawp.max_response_size;
SELECT raises($$SET wawp.max_response_size = 0$$, '22023', NULL, NULL, NULL, 'wawp.max_response_size is never 0');
SELECT raises($$SET wawp.allowed_hosts = 'example.com'$$, '55P02', NULL, NULL, NULL,
    'a session cannot change wawp.allowed_hosts');
SELECT raises($$SET wawp.instanze = 'x'$$, '42602', '%wawp.instanze%', NULL, NULL,
    'a parameter that does not exist is an error');

-- ---- a role without any privilege

CREATE ROLE regress_wawp_nobody;
SET ROLE regress_wawp_nobody;
SELECT is(wawp_jid('+1 555 123 4567'), '15551234567@c.us', 'anybody may normalise identifiers');
SELECT is(rows_of($$SELECT outcome FROM wawp_classify('add', 200, '{"ok":true}')$$), ARRAY['(accepted)'],
    'anybody may ask how an answer would be read');
SELECT is('added'::wawp.outcome::text, 'added', 'anybody may name an outcome');
SELECT raises($$SELECT wawp_fdw_validator('{}', 'pg_foreign_server'::regclass)$$, '42501', NULL, NULL, NULL,
    'nobody calls the validator');
SELECT raises($$CREATE SERVER s FOREIGN DATA WRAPPER wawp OPTIONS (instance_id 'x')$$, '42501', NULL, NULL, NULL,
    'not everybody creates instances');
RESET ROLE;

SELECT is(rows_of($$SELECT c.relname, a.attname FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p') AND c.relnamespace = 'wawp'::regnamespace
    WHERE a.atttypid = 'text'::regtype AND NOT a.attisdropped AND a.attcollation <> 'pg_catalog."C"'::regcollation$$), '{}',
    'texts are compared byte by byte, whatever the database''s locale');

-- ---- without the extension, and with it elsewhere

SELECT raises('ALTER EXTENSION wawp SET SCHEMA pg_temp', '0A000', NULL, NULL, NULL, 'the extension stays where it is');
DROP EXTENSION wawp;
SELECT hasnt_schema('wawp', 'DROP EXTENSION takes the schema wawp along');
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO regress_wawp_nobody', current_database()); END $$;
SET ROLE regress_wawp_nobody;
SELECT raises('CREATE EXTENSION wawp', '42501', NULL, NULL, NULL, 'the extension is not trusted');
RESET ROLE;
CREATE SCHEMA elsewhere;
CREATE EXTENSION wawp SCHEMA elsewhere;
SELECT is(rows_of($$SELECT DISTINCT pronamespace::regnamespace FROM member_function WHERE proname LIKE 'wawp%'$$), ARRAY['(elsewhere)'],
    'it can be installed in another schema');
SELECT is(rows_of($$SELECT * FROM elsewhere.wawp_classify('add', 403, '{}')$$),
    ARRAY['(,not_admin,403,"the instance''s account is not an admin of the group")'], 'and works there');

SELECT * FROM finish();
ROLLBACK;
