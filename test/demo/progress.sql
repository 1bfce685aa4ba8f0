-- One line of the progress of what the demo's trigger requested; the demo's script repeats it.
SELECT repeat('#', n) || repeat('.', 8 - n) || '  ' || n || ' of 8 added'
FROM (SELECT count(*)::int AS n FROM wawp.membership_intent
      WHERE origin = 'trigger public.enrolment' AND state = 'done') done;
