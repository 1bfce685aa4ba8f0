-- Each object of the extension and how it is defined, one row an object or column, in an order that oids do not change.
-- What is compared of which catalog is in the CASE; a class it does not know says so in the row.
-- Left out: partitions and TOAST tables, which the server or the worker makes, and what a view, a table or an index
-- brings along (rules, row types, defaults), which is in the row of the column, table or view.
WITH RECURSIVE member AS (
	SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'wawp'
	UNION
	SELECT d.classid, d.objid FROM member m JOIN pg_depend d ON d.refclassid = m.classid AND d.refobjid = m.objid
	WHERE d.deptype IN ('a', 'i', 'P', 'S') AND NOT (d.classid = 'pg_class'::regclass AND d.objid IN (
		SELECT c.oid FROM pg_class c WHERE c.relispartition OR c.relnamespace = 'pg_toast'::regnamespace))
), relation AS (
	SELECT c.* FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
), definition AS (
	SELECT o.type, o.identity, m.classid, m.objid, CASE m.classid
		WHEN 'pg_proc'::regclass THEN (SELECT concat_ws(' ', pg_get_functiondef(p.oid), p.proowner::regrole,
			wawp_test_acl(p.proacl, 'f', p.proowner)) FROM pg_proc p WHERE p.oid = m.objid)
		WHEN 'pg_class'::regclass THEN (SELECT concat_ws(' ', c.relkind, c.relpersistence, c.relowner::regrole, c.reloptions,
			'identity', c.relreplident, 'rls', c.relrowsecurity, c.relforcerowsecurity, pg_get_partkeydef(c.oid),
			CASE WHEN c.relkind IN ('i', 'I') THEN pg_get_indexdef(c.oid) WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END,
			CASE WHEN c.relkind NOT IN ('i', 'I') THEN wawp_test_acl(c.relacl, CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END, c.relowner) END,
			(SELECT concat_ws(' ', s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmax, s.seqmin, s.seqcache, s.seqcycle)
				FROM pg_sequence s WHERE s.seqrelid = c.oid)) FROM relation c WHERE c.oid = m.objid)
		WHEN 'pg_type'::regclass THEN (SELECT concat_ws(' ', t.typtype, t.typowner::regrole, wawp_test_acl(t.typacl, 'T', t.typowner),
			(SELECT string_agg(v.enumlabel, ',' ORDER BY v.enumsortorder) FROM pg_enum v WHERE v.enumtypid = t.oid))
			FROM pg_type t WHERE t.oid = m.objid AND t.typrelid = 0 AND t.typelem = 0)
		WHEN 'pg_constraint'::regclass THEN (SELECT concat_ws(' ', pg_get_constraintdef(c.oid), c.convalidated)
			FROM pg_constraint c WHERE c.oid = m.objid)
		WHEN 'pg_trigger'::regclass THEN (SELECT concat_ws(' ', pg_get_triggerdef(t.oid), t.tgenabled)
			FROM pg_trigger t JOIN relation r ON r.oid = t.tgrelid WHERE t.oid = m.objid)
		WHEN 'pg_policy'::regclass THEN (SELECT concat_ws(' ', p.polcmd, p.polpermissive, p.polroles,
			pg_get_expr(p.polqual, p.polrelid), 'check', pg_get_expr(p.polwithcheck, p.polrelid)) FROM pg_policy p WHERE p.oid = m.objid)
		WHEN 'pg_namespace'::regclass THEN (SELECT concat_ws(' ', n.nspowner::regrole, wawp_test_acl(n.nspacl, 'n', n.nspowner))
			FROM pg_namespace n WHERE n.oid = m.objid)
		WHEN 'pg_foreign_data_wrapper'::regclass THEN (SELECT concat_ws(' ', w.fdwhandler::regproc, w.fdwvalidator::regproc, w.fdwoptions,
			w.fdwowner::regrole, wawp_test_acl(w.fdwacl, 'F', w.fdwowner)) FROM pg_foreign_data_wrapper w WHERE w.oid = m.objid)
		WHEN 'pg_rewrite'::regclass THEN NULL
		WHEN 'pg_attrdef'::regclass THEN NULL
		ELSE 'definitions.sql does not know this class' END AS text
	FROM member m, pg_identify_object(m.classid, m.objid, 0) o
), line AS (
	SELECT d.type, d.identity, concat_ws(' ', d.text, 'comment:', obj_description(d.objid, d.classid::regclass::text::name)) AS text
	FROM definition d WHERE d.text IS NOT NULL
	UNION ALL
	SELECT 'column', r.oid::regclass || '.' || a.attname, concat_ws(' ',
		'number', row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum), format_type(a.atttypid, a.atttypmod),
		CASE WHEN a.attnotnull THEN 'not null' END, 'default', pg_get_expr(f.adbin, f.adrelid), 'identity', a.attidentity, 'generated', a.attgenerated,
		CASE WHEN a.attcollation <> 0 THEN a.attcollation::regcollation END, 'storage', a.attstorage, a.attcompression,
		-- 15.20 keeps the WAL position there at which a column was made
		(SELECT string_agg(x, ' ' ORDER BY x) FROM unnest(a.attoptions) x WHERE x NOT LIKE 'pg\_attver=%'),
		(SELECT string_agg(x::text, ' ' ORDER BY x::text) FROM unnest(a.attacl) x), 'comment:', col_description(r.oid, a.attnum))
	FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
	LEFT JOIN pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
	WHERE r.relkind NOT IN ('i', 'I', 'S')
	UNION ALL
	SELECT 'dumped', c.oid::regclass::text, e.extcondition[c.n]
	FROM pg_extension e, unnest(e.extconfig) WITH ORDINALITY c(oid, n) WHERE e.extname = 'wawp'
	UNION ALL
	SELECT 'initial privileges', o.identity, (SELECT string_agg(x::text, ' ' ORDER BY x::text) FROM unnest(i.initprivs) x)
	FROM pg_init_privs i JOIN member m ON m.classid = i.classoid AND m.objid = i.objoid,
		pg_identify_object(i.classoid, i.objoid, i.objsubid) o
	UNION ALL
	SELECT 'extension', e.extname, concat_ws(' ', e.extnamespace::regnamespace, e.extrelocatable, 'version', e.extversion)
	FROM pg_extension e WHERE e.extname = 'wawp'
)
SELECT object FROM (
	SELECT type || ' ' || identity || ': ' || coalesce(regexp_replace(text, '\s+', ' ', 'g'), '') AS object FROM line) l
ORDER BY object COLLATE "C";
