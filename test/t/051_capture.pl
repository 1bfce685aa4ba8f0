
# Nothing outside pg_catalog and wawp is resolved: by the install and upgrade scripts, by what they define, by any
# statement from C, for any caller.  A role that may create objects, and one that sets search_path for others, creates
# operators, functions, types, casts and relations that match better than the real ones, do the same, and write to the
# server's log that they ran.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;
use WawpTest;

my $top = "$FindBin::RealBin/../..";
my $group = '120363012345678901@g.us';
my $sim = WawpTest->sim;
my $node = WawpTest->node('main');
my $traps = 0;

$node->safe_psql('postgres', 'CREATE DATABASE trap; CREATE ROLE intruder LOGIN; CREATE ROLE asker LOGIN');
$node->safe_psql('trap', 'GRANT CREATE ON SCHEMA public TO intruder; GRANT CREATE ON DATABASE trap TO intruder');

# ---- what is planted

# Functions and operators with the signatures of pg_catalog's, of all names that our sources have in them, and better
# fitting ones; each says that it ran and does what the real one does.
my $plant_functions = <<'SQL';
CREATE FUNCTION public.plant_function(called text, args text[], result text, body text) RETURNS void LANGUAGE plpgsql AS $f$
BEGIN
	EXECUTE pg_catalog.format('CREATE OR REPLACE FUNCTION public.%I(%s) RETURNS %s LANGUAGE plpgsql STABLE AS %L', called,
		pg_catalog.array_to_string(args, ', '), result,
		pg_catalog.format('BEGIN RAISE LOG $r$planted: %s ran as %%$r$, current_user; RETURN %s; END', called, body));
EXCEPTION WHEN OTHERS THEN
	RAISE DEBUG '%: %', called, SQLERRM;
END $f$;
CREATE FUNCTION public.plant_operator(called text, l text, r text, result text) RETURNS void LANGUAGE plpgsql AS $f$
DECLARE
	f text := 'op_' || pg_catalog.md5(pg_catalog.concat(called, l, r));
BEGIN
	PERFORM public.plant_function(f, ARRAY[l, r], result, pg_catalog.format(
		CASE WHEN l LIKE 'any%' OR r LIKE 'any%' OR l LIKE 'wawp.%' OR r LIKE 'wawp.%'
			THEN '($1::pg_catalog.text OPERATOR(pg_catalog.%1$s) $2::pg_catalog.text)'
			ELSE '($1 OPERATOR(pg_catalog.%1$s) $2)' END, called));
	EXECUTE pg_catalog.format('ALTER FUNCTION public.%I(%s, %s) IMMUTABLE', f, l, r);
	EXECUTE pg_catalog.format('CREATE OPERATOR public.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = public.%I)', called, l, r, f);
EXCEPTION WHEN OTHERS THEN
	RAISE DEBUG '% %: %', called, f, SQLERRM;
END $f$;
SQL

my $types = q{'text', 'name', 'int2', 'int4', 'int8', 'numeric', 'float8', 'bool', 'timestamptz', 'interval', 'jsonb', 'uuid', 'inet', 'oid', '_text', '_int8'};

my $plant = <<"SQL";
SELECT public.plant_operator(o.oprname, o.oprleft::regtype::text, o.oprright::regtype::text, o.oprresult::regtype::text)
	FROM pg_operator o WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND o.oprkind = 'b'
	AND o.oprleft::regtype::oid IN (SELECT oid FROM pg_type WHERE typname IN ($types))
	AND o.oprright::regtype::oid IN (SELECT oid FROM pg_type WHERE typname IN ($types));
SELECT public.plant_operator(o, 'anyelement', 'text', 'bool') FROM unnest(ARRAY['=', '<>', '<', '>', '<=', '>=', '~~']) o;
SELECT public.plant_function(p.proname, (SELECT array_agg(a::regtype::text ORDER BY n) FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY x(a, n)),
	p.prorettype::regtype::text, format('pg_catalog.%I(%s)', p.proname,
		(SELECT string_agg('\$' || n, ', ' ORDER BY n) FROM generate_series(1, p.pronargs) n)))
	FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND NOT p.proretset AND p.proname IN (%s)
	AND p.prorettype IN (SELECT oid FROM pg_type WHERE typname IN ($types))
	AND p.provariadic = 0
	AND NOT EXISTS (SELECT FROM unnest(p.proargtypes) a WHERE a NOT IN (SELECT oid FROM pg_type WHERE typname IN ($types)));
SQL

# What would make many a statement ambiguous, or needs our types.
my $plant_later = <<'SQL';
SELECT public.plant_operator(o, l, r, 'bool')
	FROM unnest(ARRAY['=', '<>', '<', '>', '<=', '>=', '~~']) o,
	(VALUES ('text', 'anyelement'), ('anyenum', 'text'), ('anyelement', 'anyelement'), ('anyenum', 'anyenum'),
		('wawp.state', 'wawp.state'), ('wawp.action', 'wawp.action'), ('wawp.outcome', 'wawp.outcome'),
		('wawp.audit_kind', 'wawp.audit_kind'), ('wawp.state', 'text'), ('wawp.action', 'text'), ('wawp.outcome', 'text')) t(l, r);
SQL

# An aggregate, domains in the place of types, views in that of catalogs; casts from and to a type of one's own.
my $plant_more = <<'SQL';
SELECT public.plant_function('one_more', ARRAY['int8'], 'int8', '$1 OPERATOR(pg_catalog.+) 1');
CREATE AGGREGATE public.count(*) (SFUNC = public.one_more, STYPE = int8, INITCOND = '0');
SELECT public.plant_function('trap', '{}', 'bool', 'true');
CREATE DOMAIN public.text AS pg_catalog.text CHECK (public.trap());
CREATE DOMAIN public.name AS pg_catalog.name CHECK (public.trap());
CREATE DOMAIN public.jsonb AS pg_catalog.jsonb CHECK (public.trap());
CREATE DOMAIN public.uuid AS pg_catalog.uuid CHECK (public.trap());
CREATE DOMAIN public.inet AS pg_catalog.inet CHECK (public.trap());
CREATE DOMAIN public.regclass AS pg_catalog.regclass CHECK (public.trap());
CREATE VIEW public.pg_class AS SELECT * FROM pg_catalog.pg_class WHERE public.trap();
CREATE VIEW public.pg_inherits AS SELECT * FROM pg_catalog.pg_inherits WHERE public.trap();
CREATE VIEW public.pg_foreign_server AS SELECT * FROM pg_catalog.pg_foreign_server WHERE public.trap();
GRANT SELECT ON public.pg_class, public.pg_inherits, public.pg_foreign_server TO PUBLIC;
CREATE TYPE public.bait AS (value pg_catalog.text);
SELECT public.plant_function('to_bait', ARRAY['pg_catalog.text'], 'public.bait', 'ROW($1)::public.bait');
SELECT public.plant_function('from_bait', ARRAY['public.bait'], 'pg_catalog.text', '($1).value');
CREATE CAST (pg_catalog.text AS public.bait) WITH FUNCTION public.to_bait(pg_catalog.text) AS IMPLICIT;
CREATE CAST (public.bait AS pg_catalog.text) WITH FUNCTION public.from_bait(public.bait) AS IMPLICIT;
SELECT public.plant_operator('=', 'public.bait', 'public.bait', 'bool');
SQL

sub words_of_sources
{
	my %words;
	foreach my $file (glob("$top/src/*.c $top/src/*/*.c $top/sql/*.sql")) { $words{$_} = 1 foreach slurp_file($file) =~ /\b([a-z_][a-z0-9_]*)\b/g; }
	return join ', ', map { "'$_'" } sort keys %words;
}

# As that role, who finds the real ones while planting; what exists already is left as it is.
sub plant
{
	my ($role, @sql) = @_;
	my $session = WawpTest->session($node, 'trap', user => $role, options => '-c search_path=pg_catalog');
	my $answer = $session->ask(join "\n", @sql);
	$session->quit;
	return $answer;
}

# The lines of the log by which what was planted says that it ran, since the last time.
sub ran
{
	my $log = slurp_file($node->logfile, $traps);
	$traps = -s $node->logfile;
	my %seen = map { $_ => 1 } $log =~ /(planted: .*)/g;
	return join "\n", sort keys %seen;
}

my $functions = sprintf $plant =~ s/%I\(%s\)/%%I(%%s)/r, words_of_sources();
my $planted = plant('intruder', $plant_functions, $functions, $plant_more);
is($planted->{state}, '', 'everything is planted') || diag($planted->{err});
cmp_ok($node->safe_psql('trap', q{SELECT count(*) FROM pg_operator WHERE oprnamespace = 'public'::regnamespace}), '>', 200, 'operators');
cmp_ok($node->safe_psql('trap', q{SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname !~ '^op_'}), '>', 50,
	'functions');

# ---- the install script

# The settings of the role and of the database count for the worker, too.
my $user = $node->safe_psql('trap', 'SELECT current_user');
$node->safe_psql('trap', 'ALTER DATABASE trap SET search_path = public, pg_catalog') ;
$node->safe_psql('trap', "ALTER ROLE \"$user\" SET search_path = public, pg_catalog; ALTER ROLE asker SET search_path = pg_temp, public, pg_catalog");

my $owner = WawpTest->session($node, 'trap');
is($owner->ask(q{SELECT 'a'::pg_catalog.text = 'b'::pg_catalog.text})->{out}, 'f', 'what is planted does what the real one does');
like(ran(), qr/planted: op_\w+ ran as \Q$user\E/, '... and says that it ran');
my $created = $owner->ask('CREATE EXTENSION wawp SCHEMA public');
is($created->{state}, '', 'CREATE EXTENSION in the schema of the intruder') || diag($created->{err});
is(ran(), '', '... runs nothing that was planted');
is($owner->ask('SHOW search_path')->{out}, 'public, pg_catalog', '... and leaves search_path as it was');

# ---- what the script defined

my $ours = <<'SQL';
WITH RECURSIVE ours AS (
	SELECT d.classid, d.objid FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON d.refobjid = e.oid AND e.extname = 'wawp'
		WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e'
	UNION
	SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, c.oid FROM pg_catalog.pg_class c WHERE c.relnamespace = 'wawp'::pg_catalog.regnamespace
	UNION
	-- rules, indexes, constraints, defaults, policies, triggers, row types, sequences, TOAST tables, arrays, and what is theirs
	SELECT d.classid, d.objid FROM pg_catalog.pg_depend d JOIN ours o ON d.refclassid = o.classid AND d.refobjid = o.objid
		WHERE d.deptype IN ('a', 'i', 'P', 'S')
), known AS (
	SELECT classid, objid FROM ours
	UNION
	SELECT 'pg_catalog.pg_extension'::pg_catalog.regclass, oid FROM pg_catalog.pg_extension WHERE extname = 'wawp'
	UNION
	SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass, oid FROM pg_catalog.pg_namespace WHERE nspname IN ('wawp', 'public', 'pg_catalog')
)
SQL
my $elsewhere = "$ours SELECT pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) || ' -> ' ||
	pg_catalog.pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid)
	FROM pg_catalog.pg_depend d JOIN ours o ON o.classid = d.classid AND o.objid = d.objid
	WHERE d.refobjid >= 16384
	AND NOT EXISTS (SELECT FROM known k WHERE k.classid = d.refclassid AND k.objid = d.refobjid) ORDER BY 1";

sub depends_on_nobody
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($node->safe_psql('trap', "SET search_path = pg_catalog; $elsewhere"), '', $name);
}

cmp_ok($node->safe_psql('trap', "SET search_path = pg_catalog; $ours SELECT count(*) FROM ours"), '>', 150,
	'the extension, its rules, indexes, constraints, defaults and policies are found');
depends_on_nobody('nothing of it depends on what is not pg_catalog\'s or its own');
is($node->safe_psql('trap', "SET search_path = pg_catalog; $ours SELECT pg_describe_object(classid, objid, 0) FROM ours
	WHERE (pg_identify_object(classid, objid, 0)).schema NOT IN ('wawp', 'public', 'pg_toast')"), '', 'it is in its two schemas');
is($node->safe_psql('trap', "SET search_path = pg_catalog; $ours SELECT p.oid::regprocedure FROM ours JOIN pg_proc p
	ON classid = 'pg_proc'::regclass AND p.oid = objid JOIN pg_language l ON l.oid = p.prolang
	WHERE l.lanname <> 'c' AND NOT EXISTS (SELECT FROM unnest(p.proconfig) s WHERE s = 'search_path=pg_catalog, pg_temp')"), '',
	'each function is C or has search_path pinned');

# ---- the calls

WawpTest->create_server($node, 'support', $sim, { adds_per_minute => 0, invites_per_minute => 6000 }, 'trap');
$node->safe_psql('trap', 'SET search_path = pg_catalog; GRANT USAGE ON FOREIGN SERVER support TO asker; GRANT CREATE ON SCHEMA public TO asker');
WawpTest->worker($node, 'trap');

# Operators on our own types, which anybody may make now.
is(plant('intruder', $functions, $plant_later)->{state}, '', 'more is planted after CREATE EXTENSION');
cmp_ok($node->safe_psql('trap', q{SET search_path = pg_catalog; SELECT count(*) FROM pg_operator WHERE oprleft = 'wawp.state'::regtype}), '>', 5,
	'operators on wawp.state');

my $people = 0;
my %argument = (
	group_jid => "'$group'", instance => "'support'", timeout => "'1 ms'", id => '$id', chat_jid => "'$group'",
	message => "'hello'", subject => "'a group'", operation => "'add'", http_status => '200', body => q{'{"participants": []}'},
	max_requests => '1', max_time => "'100 ms'", identifier => "'15551230001'", batch_id => "'batch'", reason => "'a test'",
	mode => "'plan'", priority => '1', role_name => "'asker'", adds => '1',
);
my %person = (jid => 1, leaver => 1, newcomer => 1);
my %array = (jids => 1, phones => 1);

sub value_of
{
	my ($argument, $id) = @_;
	return sprintf "'1555600%04d'", ++$people if $person{$argument};
	return sprintf "ARRAY['1555600%04d', 'nobody']", ++$people if $array{$argument};
	return 'NULL' unless exists $argument{$argument};
	return $argument{$argument} =~ s/\$id/$id/r;
}

# Every function and procedure of the extension but trigger functions and what CREATE SERVER calls, with its input arguments.
my @calls = split /\n/, $node->safe_psql('trap', <<"SQL");
SET search_path = pg_catalog;
$ours SELECT p.prokind::text || ' ' || p.pronamespace::regnamespace::text || '.' || p.proname || ' ' ||
	coalesce((SELECT string_agg(a, ' ' ORDER BY n) FROM unnest(p.proargnames) WITH ORDINALITY x(a, n)
		WHERE p.proargmodes IS NULL OR p.proargmodes[n] = 'i'), '')
FROM ours JOIN pg_proc p ON classid = 'pg_proc'::regclass AND p.oid = objid
WHERE p.prorettype <> 'trigger'::regtype AND p.proname NOT IN ('wawp_fdw_handler', 'wawp_fdw_validator', '_worker_start')
ORDER BY p.proname IN ('wawp_pause', 'wawp_resume'), p.proname
SQL
cmp_ok(scalar(@calls), '>=', 35, 'all functions are called');

sub call_all
{
	my ($role, $session) = @_;
	my $id = $session->ask("SELECT id FROM public.wawp_request_add('$group', ARRAY['15556009999'], 'support', batch_id => 'batch')")->{out};
	my @failed;

	ran();		# the session's own statements are none of ours
	foreach my $call (@calls)
	{
		my ($kind, $name, @arguments) = split / /, $call;
		my $list = join ', ', map { "$_ => " . value_of($_, $id || 0) } @arguments;
		my $answer = $session->ask(($kind eq 'p' ? 'CALL' : 'SELECT * FROM') . " $name($list)");
		push @failed, "$name: $answer->{err}" if $answer->{state} !~ /^(|42501|55000|25006|22023)$/;
	}
	is(join("\n", @failed), '', "$role: all functions can be called") ;
	return;
}

sub runs_nothing
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(ran(), '', $name);
}

my $asker = WawpTest->session($node, 'trap', user => 'asker');
$asker->ask('CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (public.trap());
	CREATE DOMAIN pg_temp.jsonb AS pg_catalog.jsonb CHECK (public.trap());
	CREATE TEMP VIEW pg_class AS SELECT * FROM pg_catalog.pg_class WHERE public.trap()');
$owner->ask('CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (public.trap());
	CREATE TEMP VIEW pg_inherits AS SELECT * FROM pg_catalog.pg_inherits WHERE public.trap()');

# Asked first from a session that has the path pinned itself: what is analyzed again later must be so under ours.
foreach my $caller ([ asker => $asker ], [ superuser => $owner ])
{
	my ($role, $session) = @$caller;
	call_all($role, $session);
	runs_nothing("$role: no call runs what was planted");
	call_all($role, $session);
	$session->ask('SET search_path = pg_catalog');
	call_all($role, $session);
	$session->ask('SET search_path = public, pg_catalog');
	call_all($role, $session);
	runs_nothing("$role: ... nor with plans made before, under another path");
	foreach my $view (qw(queue progress stuck funnel budget instance membership_intent hold))
	{
		is($session->ask("SELECT count(*) >= 0 FROM (SELECT FROM wawp.$view) v")->{state}, '', "$role: wawp.$view") if $view;
	}
	ran();		# count() and >= were the statement's own
}

foreach my $view (qw(queue progress stuck funnel budget instance membership_intent hold))
{
	$_->ask("TABLE wawp.$view") foreach $asker, $owner;
}
runs_nothing('no view and no policy runs what was planted');

# ---- plain INSERT, a trigger of one's own, and the worker

$asker->ask("INSERT INTO wawp.membership_intent (group_jid, jid, instance) VALUES ('$group', '15556008888', 'support')");
$node->safe_psql('trap', "SET search_path = pg_catalog; CREATE TABLE public.shift (g text, p text); ALTER TABLE public.shift OWNER TO asker;
	CREATE TRIGGER t AFTER INSERT OR UPDATE OR DELETE ON public.shift FOR EACH ROW
	EXECUTE FUNCTION public.wawp_membership_trigger('group=g', 'jid=p', 'instance=support')");
$_->ask("INSERT INTO public.shift VALUES ('$group', '15556007777')") foreach $owner, $asker;
$owner->ask('DELETE FROM public.shift');
runs_nothing('neither INSERT nor a trigger on a table runs what was planted');

# The worker has claimed, sent, looked and settled.
sub is_done
{
	my ($jid, $action, $name) = @_;
	my $session = WawpTest->session($node, 'trap', options => '-c search_path=pg_catalog');
	is($session->until("SELECT state FROM wawp.membership_intent WHERE jid = '$jid\@c.us' AND action = '$action' ORDER BY id DESC LIMIT 1",
		'done'), 'done', $name);
	$session->quit;
	return;
}
is_done('15556008888', 'add', 'the worker serves what was asked for');
$node->restart;
WawpTest->worker($node, 'trap');
$node->safe_psql('trap', "SET search_path = pg_catalog; SELECT public.wawp_request_remove('$group', ARRAY['15556008888'], 'support')");
is_done('15556008888', 'remove', '... also after a restart');
runs_nothing('the worker runs nothing that was planted');
depends_on_nobody('what the worker made depends on nobody, either');

# ---- scripts to come

foreach my $script ("$top/sql/00-schema.sql", glob("$top/sql/releases/wawp--*.sql"))
{
	my ($first) = grep { !/^(\s*--.*|\s*\/\*.*\*\/\s*|\\.*|\s*)$/ } split /\n/, slurp_file($script);
	is($first, 'SET LOCAL search_path = pg_catalog, pg_temp;', ($script =~ s{.*/}{}r) . ' begins with search_path pinned');
}

done_testing();
