
# wawp.metrics: who sees it, what it counts, that it costs the same however much is queued; each alert of doc/monitoring
# in a state that was provoked; what prometheus-postgres-exporter makes of it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use File::Temp;
use HTTP::Tiny;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WawpTest;

my $folder = "$FindBin::RealBin/../../doc/monitoring";
my $group = '120363012345678901@g.us';
my $old_group = '15559876543-1400000000@g.us';
my $sim = WawpTest->sim(latency => 0.2);
my $node = WawpTest->node('main', sim => $sim, options => { adds_per_minute => 0, concurrency => 4 },
	conf => "log_statement = none\nautovacuum = off\nwawp.max_limiters = 16\nwawp.instance = 'support'\n");
my $session = WawpTest->session($node);
my $people = 0;

$sim->world({ auto_groups => \1 });

sub ask { my ($sql) = @_; my $answer = $session->ask($sql); die "$sql: $answer->{err}" if $answer->{state}; return $answer->{out}; }
sub new_person { return sprintf '1555710%04d', ++$people; }
sub enqueue { my ($in, @more) = @_; return ask("SELECT id FROM wawp_request_add('@{[ $in // $group ]}', ARRAY['@{[ new_person() ]}']@more)"); }

sub becomes
{
	my ($sql, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($session->until($sql, $expected), $expected, $name);
}

sub figure { my ($name, $labels) = @_; return "SELECT value FROM wawp.metrics WHERE name = '$name' AND labels @> '@{[ $labels // '{}' ]}'"; }

# ---- what it counts

becomes("SELECT state FROM wawp.membership_intent WHERE id = $_", 'done', 'somebody is added') foreach map { enqueue() } 1 .. 3;
$sim->rule({ match => { path => 'participants/add$' }, answer => { status => 503 }, times => 1 });
ask("SELECT * FROM wawp_add_participants('$group', ARRAY['@{[ new_person() ]}'], 'support')");
ask("BEGIN; SELECT * FROM wawp_add_participants('$group', ARRAY['@{[ new_person() ]}'], 'support'); ROLLBACK");
becomes(figure('wawp_audit_session_records_waiting'), 0, 'all is recorded');
my $counted = q{SELECT labels->>'outcome', value FROM wawp.metrics WHERE name = 'wawp_outcomes_total' ORDER BY 1};
my $recorded = 'SELECT outcome::text, count(*) FROM wawp.audit_log WHERE outcome IS NOT NULL AND instance IS NOT NULL GROUP BY 1 ORDER BY 1';
is(ask($counted), ask($recorded), 'outcomes are those of the audit log');
like(ask($counted), qr/^accepted\|\d+\nadded\|3\nserver_error\|1\z/, '... all of them');
is(ask(q{SELECT sum(value) FROM wawp.metrics WHERE name = 'wawp_http_answers_total'}), $sim->count('/'), 'each request is counted');
is(ask(figure('wawp_http_answers_total', '{"class": "5xx"}')), 1, '... by the class of its status');
is(ask(figure('wawp_http_request_duration_seconds_bucket', '{"le": "+Inf"}')), $sim->count('/'), '... and how long it took');
is(ask(figure('wawp_http_request_duration_seconds_bucket', '{"le": "0.1"}')), 0, '... none is faster than the API');

ask('CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION $x$no room for 15551234567$x$; END $$;
	CREATE TRIGGER refuse BEFORE UPDATE ON wawp.membership_intent FOR EACH ROW WHEN (NEW.state = $$done$$) EXECUTE FUNCTION refuse()');
my $id = enqueue();
becomes(figure('wawp_worker_failing'), 1, 'a cycle is rolled back');
becomes('SELECT value > 2 FROM wawp.metrics WHERE name = $$wawp_worker_errors_in_a_row$$', 't', '... several times');
ask('DROP TRIGGER refuse ON wawp.membership_intent');
becomes("SELECT state FROM wawp.membership_intent WHERE id = $id", 'done', '... and then is not');
is(ask($counted), ask($recorded), 'what was rolled back is not counted');
becomes(figure('wawp_worker_serving'), 1, 'the worker serves');

# ---- who sees it, and nobody in it

ask("CREATE ROLE watcher LOGIN; GRANT pg_monitor TO watcher; CREATE ROLE ann LOGIN; GRANT USAGE ON FOREIGN SERVER support TO ann");
my %as = map { $_ => WawpTest->session($node, 'postgres', user => $_) } qw(watcher ann);
is($as{ann}->ask('SELECT * FROM wawp.metrics')->{state}, '42501', 'a plain role is refused');
is($as{ann}->ask('SELECT * FROM wawp._metrics()')->{state}, '42501', '... in the function as well');
is($as{ann}->ask('SELECT instance, queued, trouble FROM wawp.overview')->{out}, 'support|0|', '... and has wawp.overview');
ask("SELECT wawp_pause('support', '$group', 'call 15551112222'); SELECT wawp_pause('support', '$old_group', 'call 15551112222')");
$as{ann}->ask("SELECT wawp_request_add('$group', ARRAY['15551113333'], reason => 'for 15551112222', batch_id => 'of 15551113333')");
my $seen = $as{watcher}->ask('SELECT name, labels, value FROM wawp.metrics')->{out};
like($seen, qr/^wawp_queue_intents\|\{"state": "queued", "instance": "support"\}\|1$/m, 'a member of pg_monitor sees what is queued');
like($seen, qr/^wawp_hold_active\|\{"scope": "group", "reason": "paused", "instance": "support"\}\|2$/m, '... and held');
unlike($seen, qr/1555\d|g\.us|c\.us|no room/, '... and no person, group or text');
is($as{watcher}->ask('SELECT count(*) FROM (SELECT FROM wawp.metrics GROUP BY name, labels HAVING count(*) > 1) s')->{out}, 0, '... each figure once');
is($as{watcher}->ask('SELECT instance, queued, trouble FROM wawp.overview')->{out}, 'support|1|1 in wawp.stuck', '... wawp.overview, too');
is($as{ann}->ask('SELECT queued, due, groups_behind FROM wawp.overview')->{out}, '1|1|1', '... as the role itself does');

# ---- the files of doc/monitoring name what there is

my $queries = slurp_file("$folder/queries.yaml");
my (%described, $key);
foreach my $line (split /\n/, $queries)
{
	$key = $1 if $line =~ /^(\w+):/;
	$described{"${key}_$1"} = 1 if $line =~ /^    - (\w+):/ && $line !~ /- (?:datname|instance|state|part|scope|reason|outcome|class|le):/;
}
my @names = split /\n/, $as{watcher}->ask('SELECT DISTINCT name FROM wawp.metrics ORDER BY 1')->{out};
# which an idle server has not
push @names, 'wawp_worker_last_error_timestamp_seconds' unless grep { $_ eq 'wawp_worker_last_error_timestamp_seconds' } @names;
is_deeply([ sort keys %described ], [ sort @names ], 'queries.yaml has all figures and no others');
is(join(' ', sort { $a cmp $b } $queries =~ /name = '(\w+)'/g), join(' ', sort keys %described), '... and asks for each by its name');
my $alerts = slurp_file("$folder/alerts.yml");
my $dashboard = decode_json(slurp_file("$folder/grafana.json"));

# All texts, wherever they are: panels within rows, variables, annotations.
sub strings_of
{
	my ($in) = @_;
	return ref $in eq 'HASH' ? map { strings_of($_) } values %$in : ref $in eq 'ARRAY' ? map { strings_of($_) } @$in : $in // ();
}

# The figures that a query asks for, each with the labels by which it does.
sub figures_of
{
	my ($query) = @_;
	my @common = map { split /\s*,\s*/ } $query =~ /\b(?:by|without|on|ignoring)\s*\(([^()]*)\)/g, $query =~ /^label_values\(.*,\s*(\w+)\)$/;
	my @figures;
	while ($query =~ /\b(wawp_\w+)(?:\{([^{}]*)\})?/g)
	{
		my ($name, $matchers) = ($1, $2 // '');
		push @figures, [ $name, @common, $matchers =~ /(\w+)\s*(?:=~|!~|!=|=)/g ];
	}
	return @figures;
}

# What the exporter does not have of that: figures, or labels of figures.
my %labels;
foreach my $line (split /\n/, $queries)
{
	$key = $1 if $line =~ /^(\w+):/;
	$labels{"${key}_"}{$1} = 1 if $line =~ /^    - (datname|instance|state|part|scope|reason|outcome|class|le):/;
}

sub missing_of
{
	my @missing;
	foreach my $figure (map { figures_of($_) } @_)
	{
		my ($name, @of) = @$figure;
		my ($group) = grep { index($name, $_) == 0 } sort { length $b <=> length $a } keys %labels;
		push @missing, $described{$name} ? map { "$name.$_" } grep { !$labels{$group}{$_} } @of : $name;
	}
	return join ' ', @missing;
}
my @asked = grep { /wawp_/ } strings_of($dashboard);
cmp_ok(scalar(@asked), '>', 15, 'the dashboard is valid JSON and has queries');
is(missing_of(@asked), '', '... of figures and labels that there are');
is(missing_of('sum(rate(wawp_outcomes_total{state="x"}[5m])) by (outcome) / wawp_outcomes', 'label_values(wawp_queue_intents{datname=~"$d"}, group)'),
	'wawp_outcomes_total.state wawp_outcomes wawp_queue_intents.group', '... which is said of what there is not');
is(join(' ', map { $_->{title} } grep { !grep { /wawp_/ } map { $_->{expr} // '' } @{ $_->{targets} // [] } } grep { $_->{type} ne 'row' } @{ $dashboard->{panels} }), '',
	'... each panel asks for some');
my %rules = $alerts =~ /- alert: (\w+)\n\s+expr: (.*)/g;
is(missing_of(values %rules), '', 'so have the alerts');

# ---- each alert is false, and true in the state it is for

# The sum of figures that a selector such as a{b="c"} + d matches, by labels; as Prometheus would, without its "for".
sub selected
{
	my ($selector) = @_;
	my ($name, $matchers) = $selector =~ /^(\w+)(?:\{(.*)\})?$/ or die "not understood: $selector\n";
	my $where = "name = '$name'";
	while (($matchers // '') =~ /(\w+)(=~|!=|=)"([^"]*)"/g)
	{
		$where .= sprintf " AND labels->>'%s' %s '%s'", $1, ($2 eq '=~' ? ('~', "^($3)\$") : ($2, $3));
	}
	return "(SELECT name, labels, value FROM wawp.metrics WHERE $where)";
}

sub fires
{
	my ($alert, $before) = @_;
	my $expr = $rules{$alert} // die "no alert $alert\n";
	return ask("SELECT NOT EXISTS @{[ selected($1) ]}") eq 't' if $expr =~ /^absent\((\S+)\)$/;
	my ($left, $op, $number) = $expr =~ /^(.*) (==|>) (\d+)$/ or die "not understood: $expr\n";
	$op = '=' if $op eq '==';
	return ask("SELECT value FROM @{[ selected($1) ]} s") - ($before // 0) > $number if $left =~ /^increase\((\w+)\[\w+\]\)$/;
	my $sum = join ' UNION ALL ', map { "SELECT labels, value FROM @{[ selected($_) ]} s" } split / \+ /, $left;
	return ask("SELECT EXISTS (SELECT FROM ($sum) s GROUP BY labels HAVING sum(value) $op $number)") eq 't';
}

my %provoked;

# provoke($name, { alert => number before }): is false before, and true after $do; false again after $undo.
sub provoke
{
	my ($alert, $do, $undo) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $before = $rules{$alert} =~ /^increase\((\w+)/ ? ask(figure($1)) : 0;
	$provoked{$alert} = 1;
	ok(!fires($alert, $before), "$alert: all is well");
	$do->();
	ok(poll_until(sub { fires($alert, $before) }), '... it is not');
	return unless $undo;
	$undo->();
	return ok(poll_until(sub { !fires($alert) }), '... and is again');
}

# In a transaction that is rolled back, so that the worker does not see it.
sub in_vain { my ($sql) = @_; return (sub { ask("BEGIN; $sql") }, sub { ask('ROLLBACK') }); }

ask("SELECT wawp_resume('support', '$_')") foreach $group, $old_group;
becomes(figure('wawp_queue_intents', '{"state": "queued"}'), 0, 'the queue is empty');
provoke('WawpWorkerFailing', sub { ask('CREATE TRIGGER refuse BEFORE INSERT ON wawp.audit_log FOR EACH ROW EXECUTE FUNCTION refuse()'); enqueue(); });
provoke('WawpAuditStuck', sub { ask("SELECT wawp_suppress('15551239999', NULL, 'for the test')") }, undef);
$provoked{WawpPartFailing} = 1;
ok(fires('WawpPartFailing'), 'WawpPartFailing: as long as it fails');
ask('DROP TRIGGER refuse ON wawp.audit_log');
ok(poll_until(sub { !fires($_) }), "$_: all is well again") foreach qw(WawpWorkerFailing WawpAuditStuck WawpPartFailing);
like(ask('SELECT extract(epoch FROM clock_timestamp()) - (' . figure('wawp_worker_last_error_timestamp_seconds') . ') BETWEEN 0 AND 600'), qr/^t$/, '... and when it last failed is known');

provoke('WawpWorkerOff', sub { ask('ALTER DATABASE postgres SET wawp.worker = off') }, sub { ask('ALTER DATABASE postgres RESET wawp.worker') });
provoke('WawpInstanceHeld', sub { ask("SELECT wawp_pause('support')") }, sub { ask("SELECT wawp_resume('support')") });
provoke('WawpGroupsHeld', sub { $sim->rule({ match => { path => 'participants/add$' }, times => undef, answer => { status => 403, json => { message => 'Forbidden' } } }); enqueue() },
	sub { $sim->unrule; ask("SELECT wawp_resume('support', '$group')") });
becomes(figure('wawp_queue_intents', '{"state": "queued"}'), 0, 'the queue is empty');
provoke('WawpTokenRefused', sub { $sim->rule({ match => { path => 'participants/add$' }, times => undef, answer => { status => 401, json => { message => 'no' } } }); enqueue() },
	sub { $sim->unrule; ask("SELECT wawp_resume('support')") });
becomes(figure('wawp_queue_intents', '{"state": "queued"}'), 0, 'the queue is empty');
provoke('WawpSessionDown', sub { $sim->rule({ match => { path => 'participants/add$' }, times => undef, answer => { status => 422, json => { message => 'no' } } }); enqueue() },
	sub { $sim->unrule; ask("SELECT wawp_resume('support')") });
becomes(figure('wawp_queue_intents', '{"state": "queued"}'), 0, 'the queue is empty');
ask("SELECT wawp_pause('support', '$group')");
enqueue();
provoke('WawpOldestDueTooOld', in_vain("UPDATE wawp.membership_intent SET created_at = now() - interval '5 hours' WHERE state = 'queued'"));
provoke('WawpInDoubtTooLong', in_vain("UPDATE wawp.membership_intent SET state = 'verifying', outcome = 'unknown_result', updated_at = now() - interval '1 hour' WHERE state = 'queued'"));
provoke('WawpEventsStuck', in_vain("INSERT INTO wawp.webhook_event (instance, event, id, received_at) VALUES ('support', 'x', 'y', now() - interval '1 hour')"));
provoke('WawpDayCapReached', sub { ask("ALTER SERVER support OPTIONS (ADD adds_per_day '1')") }, sub { ask('ALTER SERVER support OPTIONS (DROP adds_per_day)') });
provoke('WawpLimiterFull', sub {
		my $account = $sim->world->{accounts}{ABC123};
		$sim->world({ accounts => { map { ("CAPPED$_" => $account) } 1 .. 40 } });
		ask("ALTER SERVER support OPTIONS (ADD adds_per_day '2')");
		foreach my $i (1 .. 40)
		{
			ask("ALTER SERVER support OPTIONS (SET instance_id 'CAPPED$i')");
			last if ask("SELECT outcome FROM wawp_add_participants('$old_group', ARRAY['@{[ new_person() ]}'], 'support')") eq 'throttled';
		}
	});
ask("ALTER SERVER support OPTIONS (SET instance_id 'ABC123'); ALTER SERVER support OPTIONS (DROP adds_per_day)");

# ---- with the exporter

SKIP:
{
	my ($exporter) = grep { -x } map { "$_/prometheus-postgres-exporter" } split(/:/, $ENV{PATH}), '/usr/bin';
	skip 'no prometheus-postgres-exporter (Debian\'s package of that name)', 4 unless $exporter;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $log = File::Temp->new;
	local $ENV{DATA_SOURCE_NAME} = $node->connstr('postgres') . ' user=watcher sslmode=disable';
	my $run = IPC::Run::start([ $exporter, "--web.listen-address=127.0.0.1:$port", "--extend.query-path=$folder/queries.yaml",
		'--disable-default-metrics', '--disable-settings-metrics' ], '<', \'', '>&', $log->filename);
	my $page = '';
	ok(poll_until(sub { my $answer = HTTP::Tiny->new->get("http://127.0.0.1:$port/metrics"); $page = $answer->{content}; return $answer->{success} && $page =~ /^wawp_/m; }),
		'the exporter answers as a member of pg_monitor') || diag(slurp_file($log->filename));
	my %scraped = map { $_ => 1 } $page =~ /^(wawp_\w+)/mg;
	is_deeply([ sort keys %scraped ], [ sort keys %described ], '... with all figures, under the names of wawp.metrics');
	like($page, qr/^pg_exporter_last_scrape_error 0$/m, '... without an error');
	like($page, qr/^wawp_queue_intents\{datname="postgres",instance="support",server="[^"]*",state="queued"\} 1$/m, '... with their labels');
	$run->signal('TERM');
	eval { $run->finish };
}

# ---- however much is queued

# Rows of the queue that any statement has read.
sub rows_read
{
	$_->ask('SELECT pg_stat_force_next_flush()') foreach $session, $as{watcher};
	return ask(q{SELECT pg_stat_force_next_flush(), pg_stat_clear_snapshot(), seq_tup_read + coalesce(idx_tup_fetch, 0)
		FROM pg_stat_user_tables WHERE relid = 'wawp.membership_intent'::regclass}) =~ s/.*\|//r;
}

sub cost
{
	my $before = rows_read();
	$as{watcher}->ask('SELECT count(*) FROM wawp.metrics');
	return rows_read() - $before;
}

sub fill
{
	my ($number) = @_;
	$people += $number;
	ask(sprintf q{INSERT INTO wawp.membership_intent (group_jid, jid) SELECT '12036306661' || to_char(i %% 200, 'FM0000000') || '@g.us', '1559' || to_char(i, 'FM0000000')
		FROM generate_series(%d, %d) i}, $people - $number, $people - 1);
	return ask('ANALYZE wawp.membership_intent');
}

ask("SELECT wawp_pause('support')");
fill(5000);
cmp_ok(cost(), '>', 5000, 'what is queued is counted');
is(ask(figure('wawp_instance_depth_is_estimate')), 0, '... exactly');
is(ask(figure('wawp_queue_intents', '{"state": "queued"}')), ask("SELECT count(*) FROM wawp.membership_intent WHERE state = 'queued'"), '... all of it');
fill(18_000);
my $cost = cost();
fill(18_000);
cmp_ok(abs(cost() - $cost), '<', $cost / 10, 'twice as much costs the same') || diag("$cost rows for 23,000, @{[ cost() ]} for 41,000");
is(ask(figure('wawp_instance_depth_is_estimate')), 1, '... since it is estimated');
my $queued = ask("SELECT count(*) FROM wawp.membership_intent WHERE state = 'queued'");
cmp_ok(abs(ask(figure('wawp_queue_intents', '{"state": "queued"}')) - $queued), '<', $queued / 20, '... well');
ask("UPDATE wawp.membership_intent SET created_at = now() - interval '5 hours' WHERE id = (SELECT min(id) FROM wawp.membership_intent WHERE group_jid = '120363066610000199\@g.us')");
cmp_ok(ask(figure('wawp_instance_oldest_due_seconds')), '>', 17_999, '... and how old the first in line is, is known of each group');

# ---- a copy; a server without wawp's processes

provoke('WawpCopy', sub { ask('UPDATE wawp.identity SET mark = gen_random_uuid()') });
is(ask(figure('wawp_queue_intents', '{"state": "queued"}')), 0, '... which serves nothing of what is queued');
$_->quit foreach $session, values %as;
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$node->restart;
$session = WawpTest->session($node);
$provoked{WawpWorkerMissing} = 1;
ok(fires('WawpWorkerMissing'), 'WawpWorkerMissing: wawp is not preloaded');
ask('DROP EXTENSION wawp CASCADE; CREATE SCHEMA wawp; CREATE VIEW wawp.metrics AS SELECT NULL::text AS name, NULL::jsonb AS labels, NULL::float8 AS value');
$provoked{WawpNoFigures} = 1;
ok(fires('WawpNoFigures'), 'WawpNoFigures: there is no extension');
is_deeply([ sort keys %provoked ], [ sort keys %rules ], 'each alert was provoked');

$session->quit;
done_testing();
